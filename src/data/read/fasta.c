/* fasta.c - FASTA, and what stands in such files besides names and residues: comments, separators, byte order marks,
 * PIR's titles.
 *
 * The text comes in blocks (gzip_text.h). A line is found by memchr and looked at whole; one that a block cuts is put
 * together first, in `cut`. Of a line longer than that the rest comes in pieces, which end between characters; `place`
 * says what the next piece belongs to.
 *
 * A line of two dashes is what grep -A writes between records, and may be two gaps of an alignment: it is dropped where
 * a name or the end of the file follows, and is residues where more residues do.
 */
#include <string.h>

#include "base/alloc.h"
#include "data/read/characters.h"
#include "data/read/foreign_file.h"
#include "data/read/gzip_text.h"
#include "data/read/sequence_file.h"
#include "data/read/sequence_refusals.h"
#include "data/read/sequence_text.h"

enum { CUT_BYTES = 1 << 16 };

typedef enum line_place {
  LINE_START,
  IN_NAME,        /* after '>' and blanks, before white space */
  IN_DESCRIPTION, /* the rest of that line */
  IN_RESIDUES,
  IN_DROPPED /* a comment, a title, a separator */
} line_place;

/* A record of a PIR (NBRF) file: ">P1;CODE", a line that is its title, residues up to a '*', remarks. */
typedef enum pir_place { NO_PIR, PIR_TITLE, PIR_RESIDUES, PIR_REMARKS } pir_place;

typedef struct fasta {
  const char *words; /* of the file, for messages */
  plm_sequence_sink *sink;
  line_place place;
  pir_place pir;
  int64_t line;    /* 1-based */
  bool begun;      /* a '>' has been seen */
  bool name_begun; /* IN_NAME: past the blanks before it */
  int64_t gaps;    /* lines "--" that are separators or residues */
  int64_t gaps_line;
  char title[32]; /* of PIR, that may be the whole sequence */
  size_t title_bytes;
  int64_t title_line;
  char *cut; /* [CUT_BYTES] the beginning of a line whose rest is in the next block */
  size_t cut_bytes;
} fasta;

static plm_place place_of(const fasta *f, int64_t line) {
  plm_place place = f->sink->place;
  place.line = line;
  place.column = 0;
  return place;
}

static void note(const fasta *f, plm_note kind, int64_t count, int64_t line) {
  plm_note_add(&f->sink->notes, kind, count, place_of(f, line), 0);
}

static plm_status at_line(const fasta *f, plm_status status, int64_t line) {
  return status == PLM_OK ? PLM_OK : plm_error_prefix(status, "%s:%lld: ", f->words, (long long)line);
}

/* The file's first character that is not white space is no '>'. */
static plm_status not_fasta(const fasta *f, const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes && i < 256; i++) {
    unsigned char byte = (unsigned char)text[i];
    if (byte >= ' ' ? byte != 127 : plm_sequence_is_blank((char)byte)) continue;
    plm_fail(PLM_E_INPUT, "%s: this is a binary file, not FASTA", f->words);
    return plm_hint(PLM_E_INPUT, "protlm reads FASTA (plain, gzip or bgzip) and HDF5 with a dataset 'sequences'");
  }
  if (*text == '@') {
    plm_fail(PLM_E_INPUT, "%s:%lld: the line starts with '@': this looks like FASTQ (sequencing reads), not FASTA",
             f->words, (long long)f->line);
    return plm_hint(PLM_E_INPUT,
                    "protlm needs protein sequences; translate reads first (for example with prodigal after assembly)");
  }
  PLM_TRY(at_line(f, plm_sequence_check_structure(f->sink, text, bytes, 1), f->line));
  plm_fail(PLM_E_INPUT, "%s:%lld: text before the first '>': this is not FASTA", f->words, (long long)f->line);
  return plm_hint(PLM_E_INPUT, "a sequence is a line '>name' and then lines of letters");
}

/* ---- names ---- */

static bool is_pir(const char *name, size_t bytes) {
  static const char *const types[] = {"P1;", "F1;", "D1;", "DL;", "DC;", "RL;", "RC;", "N1;", "N3;", "XX;"};
  for (size_t i = 0; bytes >= 3 && i < sizeof types / sizeof *types; i++)
    if (memcmp(name, types[i], 3) == 0) return true;
  return false;
}

/* A carriage return belongs before a newline. Alone it ended lines on old Macintoshes: then a whole
 * file is one name. */
static plm_status check_line_ends(const fasta *f, const char *text, size_t bytes) {
  const char *found = memchr(text, '\r', bytes);
  if (found == NULL || found == text + bytes - 1) return PLM_OK;
  return at_line(f, plm_refuse_carriage_return(&f->sink->mending), f->line);
}

static bool ends_name(char c) { return (unsigned char)c <= ' ' || c == 127; }

static plm_status read_name(fasta *f, const char *text, size_t bytes) {
  size_t n = 0;
  PLM_TRY(check_line_ends(f, text, bytes));
  if (f->place == IN_DESCRIPTION) return PLM_OK;
  if (!f->name_begun) plm_sequence_skip_blanks(&text, &bytes);
  if (bytes == 0) return PLM_OK;
  if (!f->name_begun) f->pir = is_pir(text, bytes) ? PIR_TITLE : NO_PIR;
  f->name_begun = true;
  while (n < bytes && !ends_name(text[n])) n++;
  plm_sequence_sink_name(f->sink, text, n);
  if (n < bytes) f->place = IN_DESCRIPTION;
  return PLM_OK;
}

/* A title of residue letters under which there are none was the sequence. */
static plm_status settle_title(fasta *f) {
  const plm_sequence_taken *taken = &f->sink->taken;
  const size_t bytes = f->title_bytes;
  f->title_bytes = 0;
  if (bytes == 0) return PLM_OK;
  if (taken->length > 0 || taken->held_bytes > 0 || taken->mask_bytes > 0) {
    note(f, PLM_NOTE_TITLES, 1, f->title_line);
    return PLM_OK;
  }
  f->sink->place = place_of(f, f->title_line);
  return at_line(f, plm_sequence_sink_text(f->sink, f->title, bytes), f->title_line);
}

static plm_status end_record(fasta *f) {
  PLM_TRY(settle_title(f));
  PLM_TRY(at_line(f, plm_sequence_close_mask(f->sink), f->sink->taken.mask_at.line));
  return plm_sequence_sink_end(f->sink);
}

static plm_status begin_record(fasta *f) {
  if (f->begun) PLM_TRY(end_record(f));
  note(f, PLM_NOTE_SEPARATORS, f->gaps, f->gaps_line);
  f->gaps = 0;
  f->begun = true;
  f->name_begun = false;
  f->pir = NO_PIR;
  f->place = IN_NAME;
  f->sink->place = place_of(f, f->line);
  plm_sequence_sink_name(f->sink, "", 0);
  return PLM_OK;
}

/* ---- residues ---- */

static plm_status read_residues(fasta *f, const char *text, size_t bytes, bool ends) {
  if (ends && bytes > 0 && text[bytes - 1] == '\r') bytes--;
  PLM_TRY(at_line(f, plm_sequence_sink_text(f->sink, text, bytes), f->line));
  if (!ends)
    for (size_t i = 0; i < bytes && f->sink->place.column < INT32_MAX; i++)
      f->sink->place.column += (text[i] & 0xC0) != 0x80;
  if (f->pir != PIR_RESIDUES) return PLM_OK;
  while (bytes > 0 && plm_sequence_is_blank(text[bytes - 1])) bytes--;
  if (bytes > 0 && text[bytes - 1] == '*') f->pir = PIR_REMARKS;
  return PLM_OK;
}

static plm_status start_residues(fasta *f, const char *line, size_t bytes, bool ends) {
  f->place = IN_RESIDUES;
  f->sink->place.line = f->line;
  f->sink->place.column = 1;
  return read_residues(f, line, bytes, ends);
}

/* Residues follow: so were the dashes before them. */
static plm_status release_gaps(fasta *f) {
  for (; f->gaps > 0; f->gaps--) {
    f->sink->place = place_of(f, f->gaps_line);
    PLM_TRY(at_line(f, plm_sequence_sink_text(f->sink, "--", 2), f->gaps_line));
  }
  return PLM_OK;
}

/* ---- a line ---- */

/* Whether the line under ">P1;CODE" may be residues already, as in files that only look like PIR. */
static bool is_all_residues(const char *text, size_t bytes) {
  for (size_t i = 0; i < bytes; i++)
    if ((text[i] < 'A' || text[i] > 'Z') && strchr("*-.", text[i]) == NULL) return false;
  return bytes > 0;
}

/* The line under ">P1;CODE": a long one of letters is no title; for a short one, what follows decides. */
static bool take_title(fasta *f, const char *text, size_t bytes) {
  const bool may_be_residues = is_all_residues(text, bytes);
  f->pir = PIR_RESIDUES;
  if (may_be_residues && bytes >= 30) return false;
  f->place = IN_DROPPED;
  if (!may_be_residues) {
    note(f, PLM_NOTE_TITLES, 1, f->line);
    return true;
  }
  memcpy(f->title, text, bytes);
  f->title_bytes = bytes;
  f->title_line = f->line;
  return true;
}

static plm_status drop_line(fasta *f, plm_note kind) {
  note(f, kind, 1, f->line);
  f->place = IN_DROPPED;
  return PLM_OK;
}

/* A line that is no name and no comment. `text`: without white space at its ends. */
static plm_status start_text(fasta *f, const char *line, size_t line_bytes, bool ends, const char *text, size_t bytes) {
  if (f->pir == PIR_TITLE && take_title(f, text, bytes)) return PLM_OK;
  if (bytes == 0) {
    f->place = IN_DROPPED;
    return PLM_OK;
  }
  if (f->pir == PIR_REMARKS) return drop_line(f, PLM_NOTE_COMMENTS);
  if (ends && plm_characters_separate(text, bytes)) return drop_line(f, PLM_NOTE_SEPARATORS);
  if (ends && bytes == 2 && memcmp(text, "--", 2) == 0) {
    if (f->gaps++ == 0) f->gaps_line = f->line;
    f->place = IN_DROPPED;
    return PLM_OK;
  }
  if (!f->begun) return not_fasta(f, text, bytes);
  PLM_TRY(release_gaps(f));
  return start_residues(f, line, line_bytes, ends);
}

static bool is_comment(const char *text, size_t bytes) {
  const bool is_value = bytes == 4 && memcmp(text, "#N/A", 4) == 0; /* a spreadsheet's, for no sequence */
  return bytes > 0 && (*text == ';' || *text == '#') && !is_value;
}

/* Nearly every line is one: with a letter at its start, where a line can be nothing else. */
static bool is_ordinary(const fasta *f, const char *line, size_t bytes) {
  return bytes > 0 && (unsigned)((*line | 0x20) - 'a') < 26 && f->begun && f->pir == NO_PIR && f->gaps == 0;
}

/* The beginning of a line; `ends`: all of it. */
static plm_status start_line(fasta *f, const char *line, size_t line_bytes, bool ends) {
  if (is_ordinary(f, line, line_bytes)) return start_residues(f, line, line_bytes, ends);
  static const char mark[] = "\xef\xbb\xbf"; /* where files were joined, it stands in the middle */
  while (line_bytes >= 3 && memcmp(line, mark, 3) == 0) {
    note(f, PLM_NOTE_BYTE_ORDER_MARKS, 1, f->line);
    line += 3, line_bytes -= 3;
  }
  const char *text = line;
  size_t bytes = line_bytes;
  plm_sequence_skip_blanks(&text, &bytes);
  if (bytes > 0 && *text == '\0' && ((bytes == 1 && ends) || (bytes > 1 && (text[1] == '>' || text[1] == '#'))))
    return at_line(f, plm_refuse_nul_between(&f->sink->mending), f->line);
  if (bytes > 0 && *text == '>') {
    PLM_TRY(begin_record(f));
    return read_name(f, text + 1, bytes - 1);
  }
  plm_sequence_trim(&text, &bytes);
  if (is_comment(text, bytes)) {
    PLM_TRY(check_line_ends(f, text, bytes));
    return drop_line(f, PLM_NOTE_COMMENTS);
  }
  return start_text(f, line, line_bytes, ends, text, bytes);
}

/* A piece of a line, without its newline. `ends`: the last. */
static plm_status read_piece(fasta *f, const char *text, size_t bytes, bool ends) {
  plm_status status = PLM_OK;
  if (f->place == LINE_START)
    status = start_line(f, text, bytes, ends);
  else if (f->place == IN_NAME || f->place == IN_DESCRIPTION)
    status = read_name(f, text, bytes);
  else if (f->place == IN_RESIDUES)
    status = read_residues(f, text, bytes, ends);
  if (ends) {
    f->line++;
    f->place = LINE_START;
  }
  return status;
}

/* ---- blocks ---- */

/* Bytes at the end of a piece that are part of something which goes on behind it: a character, or a token such as
 * "<mask>". */
static size_t goes_on(const char *text, size_t bytes) {
  for (size_t back = 1; back < 9 && back <= bytes; back++) {
    if (text[bytes - back] == '<') return back;
    if (text[bytes - back] == '>') break;
  }
  return plm_character_begun(text, bytes);
}

/* More of a line in `cut`; when that is full, nearly all of it is read as a piece. */
static plm_status add_to_cut(fasta *f, const char *text, size_t bytes) {
  while (bytes > 0) {
    const size_t room = CUT_BYTES - f->cut_bytes, piece = bytes < room ? bytes : room;
    memcpy(f->cut + f->cut_bytes, text, piece);
    f->cut_bytes += piece;
    text += piece;
    bytes -= piece;
    if (f->cut_bytes < CUT_BYTES) continue;
    const size_t rest = goes_on(f->cut, CUT_BYTES);
    PLM_TRY(read_piece(f, f->cut, CUT_BYTES - rest, false));
    memmove(f->cut, f->cut + CUT_BYTES - rest, rest);
    f->cut_bytes = rest;
  }
  return PLM_OK;
}

static plm_status finish_cut(fasta *f) {
  const size_t bytes = f->cut_bytes;
  f->cut_bytes = 0;
  return read_piece(f, f->cut, bytes, true);
}

static plm_status read_block(fasta *f, const char *text, size_t bytes) {
  for (size_t at = 0; at < bytes;) {
    const char *end = memchr(text + at, '\n', bytes - at);
    const size_t piece = end != NULL ? (size_t)(end - text) - at : bytes - at;
    if (end != NULL && f->cut_bytes == 0) {
      PLM_TRY(read_piece(f, text + at, piece, true));
    } else {
      PLM_TRY(add_to_cut(f, text + at, piece));
      if (end != NULL) PLM_TRY(finish_cut(f));
    }
    at += piece + 1;
  }
  return PLM_OK;
}

static plm_status read_end(fasta *f) {
  if (f->cut_bytes > 0 || f->place != LINE_START) PLM_TRY(finish_cut(f));
  note(f, PLM_NOTE_SEPARATORS, f->gaps, f->gaps_line);
  return f->begun ? end_record(f) : PLM_OK;
}

static void note_oddities(fasta *f, const plm_gzip_text *text) {
  const plm_gzip_oddities odd = plm_gzip_text_oddities(text);
  note(f, PLM_NOTE_CUT_BLOCKS, odd.lacks_end_mark, f->line - 1);
  note(f, PLM_NOTE_BYTES_BEHIND, odd.bytes_behind, f->line - 1);
}

static plm_status read_all(fasta *f, const char *path, plm_gzip_text *text) {
  const char *block;
  size_t bytes;
  bool first = true;
  do {
    PLM_TRY(plm_gzip_text_read(text, f->line, &block, &bytes));
    plm_status status = PLM_OK;
    if (first) status = plm_foreign_file_check(path, plm_gzip_text_is_compressed(text), block, bytes);
    if (status == PLM_OK) status = bytes > 0 ? read_block(f, block, bytes) : read_end(f);
    first = false;
    if (status != PLM_OK) return plm_gzip_text_blame(text, f->line, status);
  } while (bytes > 0);
  note_oddities(f, text);
  return PLM_OK;
}

plm_status plm_fasta_read(const char *path, int threads, plm_sequence_sink *sink) {
  fasta f = {.words = plm_sequence_file_words(path), .sink = sink, .line = 1};
  plm_gzip_text *text;
  PLM_TRY(plm_gzip_text_open(path, threads, sink->interrupted, &text));
  sink->mending = (plm_mending){.path = path, .is_compressed = plm_gzip_text_is_compressed(text)};
  plm_status status = PLM_NEW(&f.cut, CUT_BYTES);
  if (status == PLM_OK) status = read_all(&f, path, text);
  plm_free(f.cut);
  sink->mending = (plm_mending){0};
  return plm_gzip_text_close(text, status);
}
