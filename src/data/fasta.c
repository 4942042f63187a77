/* fasta.c - FASTA.
 *
 * The text comes in blocks (gzip_text.h). A line is found by memchr and goes to the sink whole; a line that a block
 * cuts is given in two pieces, which is all the state there is: `place` says what the next byte belongs to.
 */
#include <string.h>

#include "data/foreign_file.h"
#include "data/gzip_text.h"
#include "data/sequence_file.h"

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

/* A file that starts with UTF-8's byte order mark, as some editors write it, is taken without it. */
static size_t skip_mark(const char *text, size_t bytes) {
  return bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

static plm_status read_all(fasta *f, const char *path, plm_gzip_text *text) {
  const char *block;
  size_t bytes, skip;
  for (bool first = true;; first = false) {
    PLM_TRY(plm_gzip_text_read(text, f->line, &block, &bytes));
    if (bytes == 0) break;
    skip = first ? skip_mark(block, bytes) : 0;
    plm_status status = PLM_OK;
    if (first) status = plm_foreign_file_check(path, plm_gzip_text_is_compressed(text), block, bytes);
    if (status == PLM_OK) status = read_block(f, block + skip, bytes - skip);
    if (status != PLM_OK) return plm_gzip_text_blame(text, f->line, status);
  }
  return f->begun ? plm_sequence_sink_end(f->sink) : PLM_OK;
}

plm_status plm_fasta_read(const char *path, int threads, plm_sequence_sink *sink) {
  fasta f = {.words = plm_sequence_file_words(path), .sink = sink, .line = 1};
  plm_gzip_text *text;
  PLM_TRY(plm_gzip_text_open(path, threads, sink->interrupted, &text));
  return plm_gzip_text_close(text, read_all(&f, path, text));
}
