/* foreign_file.c - see foreign_file.h: magic bytes, archives, and the order in which kinds are asked. */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/read/characters.h"
#include "data/read/foreign_internal.h"
#include "data/read/sequence_file.h"
#include "data/plmd_format.h"

/* ---- magic bytes ---- */

#define MAGIC(bytes) (bytes), sizeof(bytes) - 1
#define FROM_PYTORCH                                                                                                    \
  "in Python: torch.load it, and write a line '>name' and a line of letters for each sequence; weights are given with " \
  "--model, as a directory"
#define FROM_NUMPY "in Python: numpy.load it, and write a line '>name' and a line of letters for each sequence"
#define CONVERT "convert it: "
#define WITH_PANDAS "with Python and pandas: "
#define PANDAS(read)                                                                             \
  "python3 -c 'import pandas,sys; t=pandas." read                                                \
  "(sys.argv[1]); c={str(k).lower(): k for k in t}; s=next(c[k] for k in (\"sequence\",\"seq\"," \
  "\"sequences\",\"aa\",\"protein\") if k in c); n=next((c[k] for k in (\"id\",\"name\","        \
  "\"accession\",\"entry\") if k in c),None); [print(\">%s\\n%s\" % p) for p in zip(t[n] if n else t.index,t[s])]'"

typedef struct magic {
  const char *magic;
  size_t bytes;
  const char *what;
  const char *filter;  /* a program that reads it on its standard input, or NULL */
  const char *program; /* one that takes it as its argument, or NULL. Both write what protlm reads */
  const char *words;   /* in front of that line, or instead */
} magic;

static const magic magics[] = {
    {MAGIC("\xfd"
           "7zXZ"),
     "xz-compressed", "xz -dc", NULL, CONVERT},
    {MAGIC("BZh?1AY&SY"), "bzip2-compressed", "bzip2 -dc", NULL, CONVERT},
    {MAGIC("\x28\xb5\x2f\xfd"), "zstd-compressed", "zstd -dc", NULL, CONVERT},
    {MAGIC("\x04\x22\x4d\x18"), "lz4-compressed", "lz4 -dc", NULL, CONVERT},
    {MAGIC("\x5d\0\0"), "lzma-compressed", "xz -dc", NULL, CONVERT},
    {MAGIC("\x1f\x9d"), "compressed by compress (.Z)", "gzip -dc", NULL, CONVERT},
    {MAGIC("\x1f\x8b"), "gzip-compressed twice", "gzip -dc", NULL, CONVERT},
    {MAGIC("\xff\xfe\0\0"), "UTF-32 text", "iconv -f UTF-32 -t UTF-8", NULL, CONVERT},
    {MAGIC("\0\0\xfe\xff"), "UTF-32 text", "iconv -f UTF-32 -t UTF-8", NULL, CONVERT},
    {MAGIC("\xff\xfe"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8", NULL, CONVERT},
    {MAGIC("\xfe\xff"), "UTF-16 text", "iconv -f UTF-16 -t UTF-8", NULL, CONVERT},
    {MAGIC("7z\xbc\xaf\x27\x1c"), "a 7z archive", NULL, "7z e -so", "unpack it: "},
    {MAGIC("Rar!\x1a\x07"), "a rar archive", NULL, "unrar p -inul", "unpack it: "},
    {MAGIC("PAR1"), "a Parquet table", NULL, PANDAS("read_parquet"), WITH_PANDAS},
    {MAGIC("ARROW1"), "an Arrow table (Feather)", NULL, PANDAS("read_feather"), WITH_PANDAS},
    {MAGIC("FEA1"), "a Feather table", NULL, PANDAS("read_feather"), WITH_PANDAS},
    {MAGIC("ORC"), "an ORC table", NULL, PANDAS("read_orc"), WITH_PANDAS},
    {MAGIC("\x93NUMPY"), "a NumPy array (.npy), a binary file", NULL, NULL, FROM_NUMPY},
    {MAGIC("SQLite format 3"), "an SQLite database", NULL, NULL,
     "select the sequences with sqlite3, as lines '>name' and lines of letters; .schema there shows its tables"},
    {MAGIC("\xd0\xcf\x11\xe0"), "an old Excel or Word file", NULL, NULL, "save the table as CSV, and give that"},
    {MAGIC("%PDF-"), "a PDF document", NULL, NULL,
     "get the sequences as a text file; text copied out of a page has line numbers and page breaks in it"},
    {MAGIC("BAM\1"), "BAM (aligned sequencing reads)", NULL, NULL,
     "protlm needs protein sequences; translate reads first"},
    {MAGIC("CRAM"), "CRAM (aligned sequencing reads)", NULL, NULL,
     "protlm needs protein sequences; translate reads first"},
    {MAGIC("\x89HDF\r\n\x1a\n"), "HDF5, but compressed or through a pipe", NULL, NULL,
     "give the HDF5 file itself, uncompressed, by its name"},
    {MAGIC(PLMD_MAGIC), "a packed file (.plmd), but compressed or through a pipe", NULL, NULL,
     "give the .plmd file itself, uncompressed, by its name"},
};

/* The line `program FILE pattern > MENDED`, after the message was made. */
static plm_status hint_program(const plm_foreign_look *look, const char *program, const char *pattern,
                               const char *words) {
  char name[PLM_SHELL_WORD], mended[PLM_MENDED_NAME];
  if (look->compressed || plm_sequence_file_is_stream(look->path))
    return plm_hint(PLM_E_INPUT, "put it into a file of its own, uncompressed: protlm says more of that");
  plm_shell_word(look->path, name);
  return plm_hint(PLM_E_INPUT, "%s`%s %s%s > %s`", words, program, name, pattern, plm_mended_name(".fasta", mended));
}

static plm_status say_magic(const plm_foreign_look *look, const magic *kind) {
  /* What holds a tar archive is unpacked whole; tar knows each compression itself. */
  bool tar = strstr(look->path, ".tar") != NULL && !look->compressed;
  plm_foreign_name(look, kind->what);
  if (kind->filter != NULL && tar) return hint_program(look, "tar -xOf", "", "unpack it: ");
  if (kind->filter != NULL) return plm_foreign_file_hint(look->path, look->compressed, kind->filter, kind->words);
  if (kind->program != NULL) return hint_program(look, kind->program, "", kind->words);
  return plm_hint(PLM_E_INPUT, "%s", kind->words);
}

/* Magic bytes that are letters may begin a list of sequences too. */
static bool is_binary(const plm_foreign_look *look) {
  for (size_t i = 0; i < look->bytes && i < 4096; i++) {
    unsigned char c = (unsigned char)look->text[i];
    if (c >= 127 || (c < ' ' && strchr("\t\n\v\f\r", c) == NULL) || c == 0) return true;
  }
  return false;
}

/* '?' stands for any byte. */
static bool has_magic(const plm_foreign_look *look, const magic *kind) {
  bool word = true;
  if (kind->bytes > look->bytes) return false;
  for (size_t i = 0; i < kind->bytes; i++) {
    if (kind->magic[i] != '?' && kind->magic[i] != look->text[i]) return false;
    word = word && isalnum((unsigned char)kind->magic[i]);
  }
  return !word || is_binary(look);
}

static plm_status check_magic(const plm_foreign_look *look) {
  for (size_t i = 0; i < sizeof magics / sizeof *magics; i++)
    if (has_magic(look, &magics[i])) return say_magic(look, &magics[i]);
  return PLM_OK;
}

/* ---- archives, which name what is in them ---- */

/* " '*.fasta'" for a member's name that ends so, "" where it has no such end. */
static void pattern_of(const char *name, size_t bytes, char ret_pattern[32]) {
  size_t dot = bytes;
  while (dot > 0 && isalnum((unsigned char)name[dot - 1])) dot--;
  ret_pattern[0] = '\0';
  if (dot > 0 && name[dot - 1] == '.' && bytes - dot > 0 && bytes - dot < 12)
    snprintf(ret_pattern, 32, " '*.%.*s'", (int)(bytes - dot), name + dot);
}

static bool ends_with(const char *text, size_t bytes, const char *end) {
  size_t length = strlen(end);
  return bytes >= length && memcmp(text + bytes - length, end, length) == 0;
}

static uint64_t little(const plm_foreign_look *look, size_t at, int bytes) {
  uint64_t value = 0;
  for (int i = bytes - 1; i >= 0; i--) value = value << 8 | (unsigned char)look->text[at + (size_t)i];
  return value;
}

/* The name of the first file in it that is no directory; of no bytes where that is not seen. */
static plm_foreign_line first_in_zip(const plm_foreign_look *look) {
  enum { HEADER = 30 };
  for (size_t at = 0; at + HEADER <= look->bytes && memcmp(look->text + at, "PK\3\4", 4) == 0;) {
    size_t length = (size_t)little(look, at + 26, 2), extra = (size_t)little(look, at + 28, 2);
    const char *name = look->text + at + HEADER;
    if (length == 0 || at + HEADER + length > look->bytes) break;
    if (name[length - 1] != '/') return (plm_foreign_line){.text = name, .bytes = length};
    at += HEADER + length + extra; /* a directory has no data */
  }
  return (plm_foreign_line){.text = "", .bytes = 0};
}

/* Its first file's name tells what else is packed as zip. */
static plm_status check_zip(const plm_foreign_look *look) {
  char pattern[32];
  if (look->bytes < 4 || memcmp(look->text, "PK\3\4", 4) != 0) return PLM_OK;
  plm_foreign_line name = first_in_zip(look);
  if (ends_with(name.text, name.bytes, "/data.pkl"))
    return plm_hint(plm_foreign_name(look, "a PyTorch file (torch.save), a binary file"), "%s", FROM_PYTORCH);
  if (ends_with(name.text, name.bytes, ".npy"))
    return plm_hint(plm_foreign_name(look, "NumPy arrays (.npz), a binary file"), "%s", FROM_NUMPY);
  if (ends_with(name.text, name.bytes, "[Content_Types].xml"))
    return plm_hint(plm_foreign_name(look, "an Excel or Word file"),
                    "save the table as CSV, and give that: protlm says how to make FASTA of it");
  pattern_of(name.text, name.bytes, pattern);
  plm_foreign_name(look, "a zip archive");
  return hint_program(look, "unzip -p", pattern, "unpack it: ");
}

enum { TAR_BLOCK = 512 };

static bool is_tar_header(const plm_foreign_look *look, size_t at) {
  return at + TAR_BLOCK <= look->bytes && memcmp(look->text + at + 257, "ustar", 5) == 0;
}

/* The file in it that protlm most likely is to read: its first one, of those that are seen. */
static plm_status check_tar(const plm_foreign_look *look) {
  char pattern[32] = "", what[160], shown[80];
  if (!is_tar_header(look, 0)) return PLM_OK;
  snprintf(what, sizeof what, "a tar archive");
  for (size_t at = 0; is_tar_header(look, at);) {
    const char *header = look->text + at;
    uint64_t bytes = 0;
    for (int i = 124; i < 136 && header[i] >= '0' && header[i] <= '7'; i++)
      bytes = bytes * 8 + (uint64_t)(header[i] - '0');
    size_t length = strnlen(header, 100);
    if (header[156] == '0' || header[156] == '\0') {
      snprintf(what, sizeof what, "a tar archive; the first file in it is %s",
               plm_printable(header, length, shown, sizeof shown));
      pattern_of(header, length, pattern);
      break;
    }
    at += TAR_BLOCK * (1 + (size_t)((bytes + TAR_BLOCK - 1) / TAR_BLOCK));
  }
  plm_foreign_name(look, what);
  plm_foreign_look archive = *look;
  archive.compressed = false; /* tar knows each compression itself */
  return hint_program(&archive, pattern[0] != '\0' ? "tar --wildcards -xOf" : "tar -xOf", pattern, "unpack it: ");
}

/* Protocols 2 to 5: what Python has written since 2003. The modules of what is in it stand there by name. */
static plm_status check_pickle(const plm_foreign_look *look) {
  if (look->bytes < 2 || look->text[0] != '\x80' || look->text[1] < 2 || look->text[1] > 5) return PLM_OK;
  if (plm_foreign_holds(look, "torch") || plm_foreign_holds(look, "\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"))
    return plm_hint(plm_foreign_name(look, "a PyTorch file (torch.save), a binary file"), "%s", FROM_PYTORCH);
  if (plm_foreign_holds(look, "pandas")) {
    plm_foreign_name(look, "a Python pickle of a pandas table, a binary file");
    return hint_program(look, PANDAS("read_pickle"), "",
                        "loading a pickle runs what is in it; if you trust whoever made it: ");
  }
  plm_foreign_name(look, "a Python pickle, a binary file");
  return plm_foreign_file_hint(
      look->path, look->compressed,
      "python3 -c 'import pickle,sys; d=pickle.load(sys.stdin.buffer); [print(\">%s\\n%s\" % p) for p in "
      "(d.items() if hasattr(d,\"items\") else enumerate(d,1)) if isinstance(p[1],str)]'",
      "loading a pickle runs what is in it; if you trust whoever made it, and it is a dict or a list of sequences: ");
}

/* ---- characters of two or four bytes, without a mark ---- */

/* Latin letters have zeros beside them, always on the same side. */
static plm_status check_wide(const plm_foreign_look *look) {
  static const struct {
    const char *what, *filter;
    bool zero[4];
  } wide[] = {
      {"UTF-32 text", "iconv -f UTF-32LE -t UTF-8", {false, true, true, true}},
      {"UTF-32 text", "iconv -f UTF-32BE -t UTF-8", {true, true, true, false}},
      {"UTF-16 text", "iconv -f UTF-16LE -t UTF-8", {false, true, false, true}},
      {"UTF-16 text", "iconv -f UTF-16BE -t UTF-8", {true, false, true, false}},
  };
  size_t bytes = (look->bytes < 512 ? look->bytes : 512) / 4 * 4, zeros[4] = {0};
  for (size_t i = 0; i < bytes; i++) {
    unsigned char c = (unsigned char)look->text[i];
    if (c >= 127 || (c != 0 && c < ' ' && !isspace(c))) return PLM_OK;
    zeros[i % 4] += c == 0;
  }
  for (size_t w = 0; bytes > 0 && w < sizeof wide / sizeof *wide; w++) {
    bool all = true;
    for (size_t i = 0; i < 4; i++) all = all && zeros[i] == (wide[w].zero[i] ? bytes / 4 : 0);
    if (!all) continue;
    plm_foreign_name(look, wide[w].what);
    return plm_foreign_file_hint(look->path, look->compressed, wide[w].filter, CONVERT);
  }
  return PLM_OK;
}

/* ---- all ---- */

/* Comments, and separators. Who reads FASTA drops such lines. */
static bool says_nothing(plm_foreign_line line) {
  if (line.bytes == 0 || strchr(";#", line.text[0]) != NULL) return true;
  if (line.text[0] != '-') return plm_characters_separate(line.text, line.bytes);
  size_t dashes = 0;
  while (dashes < line.bytes && line.text[dashes] == '-') dashes++;
  return dashes > 1 && dashes == line.bytes;
}

/* FASTA, whatever else may be wrong with it: the first line that says anything begins with '>'. */
static bool is_fasta(const plm_foreign_look *look) {
  plm_foreign_line line;
  for (size_t at = 0; plm_foreign_next_line(look, &at, &line);) {
    while (line.bytes > 0 && isspace((unsigned char)*line.text)) line.text++, line.bytes--;
    if (says_nothing(line)) continue;
    return line.text[0] == '>' && (line.bytes < 2 || line.text[1] != '\0');
  }
  return look->bytes > 1 && look->text[0] == '>' && look->text[1] != '\0';
}

static plm_status check_text(const plm_foreign_look *look) {
  PLM_TRY(plm_foreign_text_check(look));
  PLM_TRY(plm_foreign_json_check(look));
  return plm_foreign_table_check(look);
}

/* Lines that end as on an old Mac, or in what Excel for Mac saves as CSV. */
static bool look_is_of_carriage_returns(const plm_foreign_look *look) {
  return memchr(look->text, '\r', look->bytes) != NULL && memchr(look->text, '\n', look->bytes) == NULL;
}

/* As the lines that they mean. */
static plm_status check_returns(const plm_foreign_look *look) {
  plm_foreign_look lines = *look;
  char *text;
  PLM_TRY(PLM_NEW(&text, look->bytes));
  for (size_t i = 0; i < look->bytes; i++) text[i] = look->text[i] == '\r' ? '\n' : look->text[i];
  lines.text = text;
  lines.returns = true;
  plm_status status = is_fasta(&lines) ? PLM_OK : check_text(&lines);
  plm_free(text);
  return status;
}

plm_status plm_foreign_file_check(const char *path, bool compressed, const char *text, size_t bytes) {
  plm_foreign_look look = {.path = path, .compressed = compressed, .text = text, .bytes = bytes};
  PLM_TRY(check_wide(&look));
  if (bytes >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
    look.marked = true;
    look.text += 3;
    look.bytes -= 3;
  }
  while (look.bytes > 0 && strchr(" \t\r\n\v\f", look.text[0]) != NULL && look.text[0] != '\0') {
    look.text++;
    look.bytes--;
  }
  if (look.bytes == 0) return PLM_OK;
  if (is_fasta(&look)) return plm_foreign_header_check(&look);
  PLM_TRY(check_magic(&look));
  PLM_TRY(check_zip(&look));
  PLM_TRY(check_tar(&look));
  PLM_TRY(check_pickle(&look));
  if (memchr(look.text, '\0', look.bytes) != NULL) return PLM_OK;
  return look_is_of_carriage_returns(&look) ? check_returns(&look) : check_text(&look);
}
