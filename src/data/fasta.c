/* fasta.c - FASTA through htslib's bgzf, which reads plain, gzip and bgzf files alike.
 *
 * The text comes in blocks. A line is found by memchr and goes to the sink whole; a line that a block cuts is given in
 * two pieces, which is all the state there is: `place` says what the next byte belongs to.
 */
#include <errno.h>
#include <htslib/bgzf.h>
#include <htslib/hts_log.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "data/sequence_file.h"
#include "data/stream_pump.h"

enum { BLOCK_BYTES = 1 << 20 };

typedef enum place {
  LINE_START,
  IN_NAME,        /* after '>', before white space */
  IN_DESCRIPTION, /* the rest of that line */
  IN_RESIDUES
} place;

typedef struct fasta {
  const char *words; /* of the file, for messages */
  plm_sequence_sink *sink;
  place place;
  int64_t line; /* 1-based */
  bool begun;   /* a '>' has been seen */
} fasta;

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* The file's first character that is not white space is no '>'. */
static plm_status not_fasta(const fasta *f, const char *text, size_t bytes) {
  unsigned char c = (unsigned char)*text;
  for (size_t i = 0; i < bytes && i < 256; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte >= ' ' ? byte != 127 : is_blank((char)byte)) continue;
    plm_fail(PLM_E_INPUT, "%s: this is a binary file, not FASTA", f->words);
    return plm_hint(PLM_E_INPUT, "protlm reads FASTA (plain, gzip or bgzip) and HDF5 with a dataset 'sequences'");
  }
  if (c == '@') {
    plm_fail(PLM_E_INPUT, "%s:%lld: the line starts with '@': this looks like FASTQ (sequencing reads), not FASTA",
             f->words, (long long)f->line);
    return plm_hint(PLM_E_INPUT,
                    "protlm needs protein sequences; translate reads first (for example with prodigal after assembly)");
  }
  if (c == ';') {
    plm_fail(PLM_E_INPUT, "%s:%lld: the line starts with ';': comment lines are not part of the FASTA format", f->words,
             (long long)f->line);
    return plm_hint(PLM_E_INPUT, "remove them: grep -v '^;'");
  }
  plm_fail(PLM_E_INPUT, "%s:%lld: text before the first '>': this is not FASTA", f->words, (long long)f->line);
  return plm_hint(PLM_E_INPUT, "a sequence is a line '>name' and then lines of letters");
}

/* The bytes at `text`, which start a line. *ret_used is how many were dealt with (0: all goes on as residues). */
static plm_status start_line(fasta *f, const char *text, size_t bytes, size_t *ret_used) {
  *ret_used = 0;
  if (*text == '>') {
    if (f->begun) PLM_TRY(plm_sequence_sink_end(f->sink));
    f->begun = true;
    f->place = IN_NAME;
    *ret_used = 1;
  } else if (f->begun) {
    f->place = IN_RESIDUES;
  } else if (is_blank(*text)) {
    *ret_used = 1;
    f->line += *text == '\n';
  } else {
    return not_fasta(f, text, bytes);
  }
  return PLM_OK;
}

/* A carriage return belongs before a newline. Alone it ended lines on old Macintoshes: then a whole
 * file is one name. */
static plm_status check_line_ends(const fasta *f, const char *text, size_t bytes) {
  const char *found = memchr(text, '\r', bytes);
  if (found == NULL || found == text + bytes - 1) return PLM_OK;
  plm_fail(PLM_E_INPUT, "%s:%lld: a carriage return inside a name's line: the lines end in carriage returns alone",
           f->words, (long long)f->line);
  return plm_hint(PLM_E_INPUT, "make them newlines: tr '\\r' '\\n' < old.fasta > new.fasta");
}

/* A piece of one line, without its newline. */
static plm_status read_piece(fasta *f, const char *text, size_t bytes) {
  if (f->place == IN_NAME || f->place == IN_DESCRIPTION) PLM_TRY(check_line_ends(f, text, bytes));
  if (f->place == IN_NAME) {
    size_t n = 0;
    while (n < bytes && !is_blank(text[n])) n++;
    plm_sequence_sink_name(f->sink, text, n);
    if (n < bytes) f->place = IN_DESCRIPTION;
  } else if (f->place == IN_RESIDUES) {
    if (bytes > 0 && text[bytes - 1] == '\r') bytes--;
    plm_status status = plm_sequence_sink_text(f->sink, text, bytes);
    if (status != PLM_OK) return plm_error_prefix(status, "%s:%lld: ", f->words, (long long)f->line);
  }
  return PLM_OK;
}

static plm_status read_block(fasta *f, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    if (f->place == LINE_START) {
      size_t used;
      PLM_TRY(start_line(f, text + at, bytes - at, &used));
      at += used;
      if (used > 0) continue;
    }
    const char *end = memchr(text + at, '\n', bytes - at);
    size_t piece = end != NULL ? (size_t)(end - text) - at : bytes - at;
    PLM_TRY(read_piece(f, text + at, piece));
    at += piece;
    if (end == NULL) continue;
    at++;
    f->line++;
    f->place = LINE_START;
  }
  return PLM_OK;
}

static plm_status unreadable(const fasta *f, BGZF *file) {
  if (bgzf_compression(file) == 0) return plm_fail(PLM_E_INPUT, "%s: reading failed: %s", f->words, strerror(errno));
  plm_fail(PLM_E_INPUT, "%s: the compressed data is damaged or cut short (in line %lld of the text)", f->words,
           (long long)f->line);
  return plm_hint(
      PLM_E_INPUT,
      "copy or download it again; if gzip -t finds nothing wrong, unpack it with gunzip -k and give what comes out");
}

/* bgzf files end in an empty block, so that one cut between two blocks is noticed. */
static plm_status check_end(const fasta *f, BGZF *file) {
  if (bgzf_compression(file) != 2 || bgzf_check_EOF(file) != 0) return PLM_OK;
  return plm_hint(plm_fail(PLM_E_INPUT, "%s: the file was cut short: bgzip's end mark is missing", f->words),
                  "copy or download it again");
}

/* A file that starts with UTF-8's byte order mark, as some editors write it, is taken without it. */
static size_t skip_mark(const char *text, size_t bytes) {
  return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* Damaged compressed data decompresses to nonsense until its checksum is reached: then the damage is the message, not
 * the nonsense. */
static plm_status blame(const fasta *f, BGZF *file, char *block, plm_status status) {
  if (status != PLM_E_INPUT || bgzf_compression(file) == 0) return status;
  ssize_t bytes = 1;
  while (bytes > 0) bytes = bgzf_read(file, block, BLOCK_BYTES);
  return bytes < 0 ? unreadable(f, file) : status;
}

static plm_status read_all(fasta *f, BGZF *file, char *block) {
  ssize_t bytes = bgzf_read(file, block, BLOCK_BYTES);
  size_t skip = bytes > 0 ? skip_mark(block, (size_t)bytes) : 0;
  for (; bytes > 0; bytes = bgzf_read(file, block, BLOCK_BYTES), skip = 0) {
    plm_status status = read_block(f, block + skip, (size_t)bytes - skip);
    if (status != PLM_OK) return blame(f, file, block, status);
  }
  if (bytes < 0) return unreadable(f, file);
  return f->begun ? plm_sequence_sink_end(f->sink) : PLM_OK;
}

static plm_status read_opened(fasta *f, BGZF *file, int threads) {
  char *block;
  PLM_TRY(check_end(f, file));
  if (threads > 1 && bgzf_compression(file) == 2) bgzf_mt(file, threads, 256);
  PLM_TRY(PLM_NEW(&block, BLOCK_BYTES));
  plm_status status = read_all(f, file, block);
  plm_free(block);
  return status;
}

/* Takes `file`, or says why it is NULL. */
static plm_status read_and_close(fasta *f, BGZF *file, int threads) {
  if (file == NULL) return plm_fail(PLM_E_INPUT, "%s: cannot be opened: %s", f->words, strerror(errno));
  plm_status status = read_opened(f, file, threads);
  bgzf_close(file);
  return status;
}

/* Why the stream ended is more than what that did to the text. */
static plm_status read_stream(fasta *f, const char *path, int threads) {
  plm_stream_pump *pump;
  plm_error_record text;
  int fd;
  PLM_TRY(plm_stream_pump_open(path, f->sink->interrupted, &pump, &fd));
  BGZF *file = bgzf_dopen(fd, "r");
  if (file == NULL) close(fd);
  plm_status status = read_and_close(f, file, threads);
  if (status != PLM_OK) plm_error_take(status, &text);
  PLM_TRY(plm_stream_pump_close(pump));
  return status == PLM_OK ? PLM_OK : plm_error_give(&text);
}

plm_status plm_fasta_read(const char *path, int threads, plm_sequence_sink *sink) {
  fasta f = {.words = plm_sequence_file_words(path), .sink = sink, .line = 1};
  hts_set_log_level(HTS_LOG_OFF); /* its words go to stderr; ours go to the user */
  return plm_sequence_file_is_regular(path) ? read_and_close(&f, bgzf_open(path, "r"), threads)
                                            : read_stream(&f, path, threads);
}
