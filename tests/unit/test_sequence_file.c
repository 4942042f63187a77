/* Every odd but readable file is read; every bad one gives one clear message with the right code. */
#include "support/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/file.h"
#include "data/dataset.h"
#include "support/scratch.h"
#include "support/sequences.h"

/* ---- what is read ---- */

static void readable_files_are_read_as_meant(void **state) {
  (void)state;
  const struct {
    const char *what, *text, *expected;
  } files[] = {
      {"plain", ">a\nMKV\n>b\nAC\n", "a:MKV|b:AC"},
      {"several lines", ">a\nMK\nVL\nA\n>b\nAC\n", "a:MKVLA|b:AC"},
      {"no final newline", ">a\nMKV\n>b\nAC", "a:MKV|b:AC"},
      {"CRLF", ">a one\r\nMKV\r\nLL\r\n>b\r\nAC\r\n", "a:MKVLL|b:AC"},
      {"blank lines", "\n\n>a\n\nMKV\n\n\nLL\n\n>b\nAC\n\n", "a:MKVLL|b:AC"},
      {"description", ">a|b.1 a protein > of note\nMKV\n", "a|b.1:MKV"},
      {"white space in lines", ">a\n MKV LLA\t\n>b\nA C\n", "a:MKVLLA|b:AC"},
      {"lower case kept", ">a\nMKvlaR\n", "a:MKvlaR"},
      {"final stop dropped", ">a\nMKV*\n>b\nAC**\n>c\nA*C\n", "a:MKV|b:AC|c:A*C"},
      {"a stop on its own line", ">a\nMKV\n*\n", "a:MKV"},
      {"gaps kept", ">a\nM-K.V\n", "a:M-K.V"},
      {"duplicate names", ">a\nMKV\n>a\nAC\n", "a:MKV|a:AC"},
      {"no name", ">\nMKV\n> x\nAC\n> \t\nMK\n", "0:MKV|x:AC|2:MK"},
      {"blanks before the name", "> x y\nMKV\n>\tz\nAC\n", "x:MKV|z:AC"},
      {"a name ends at a control character", ">a\001b c\nMKV\n>d\x1b[31m\nAC\n>e\x7f\nMK\n", "a:MKV|d:AC|e:MK"},
      {"names in UTF-8", ">\xc3\xa9t\xc3\xa9 x\nMKV\n", "\xc3\xa9t\xc3\xa9:MKV"},
      {"what steers a terminal in a name", ">a\xc2\x9b\xff\nMKV\n", "a\\xc2\\x9b\\xff:MKV"},
      {"indented", "  >a\n  MKV\n\t>b\nAC\n", "a:MKV|b:AC"},
      {"comments", ";c\n# >d\n>a\nMK\n ; x\nV\n#\n>b\nAC ; tail\nMK\t# MKV\n", "a:MKV|b:ACMK"},
      {"a comment that is cut nowhere", ">a\nMKV ;\nLL\n", "a:MKVLL"},
      {"separators of grep", "--\n>a\nMKV\n--\n>b\nAC\n--\n--\n\n>c\nMK\n--\n", "a:MKV|b:AC|c:MK"},
      {"gaps on a line of their own", ">a\nMKV\n--\nAC\n>b\n--\n--\n-K\n---\n>c\nM-\n", "a:MKV--AC|b:-----K---|c:M-"},
      {"other separators", ">a\nMKV\n//\n>b\nAC\n=====\n>c\nMK\n", "a:MKV|b:AC|c:MK"},
      {"byte order marks",
       "\xef\xbb\xbf>a\nMKV\n\xef\xbb\xbf>b\n\xef\xbb\xbf"
       "AC\n",
       "a:MKV|b:AC"},
      {"PIR", ">P1;X\ntitle of it\nMKV\nAC*\nC;Remark: MKV\n>F1;Y\n\nMK*\n>z\nAC\n", "P1;X:MKVAC|F1;Y:MK|z:AC"},
      {"PIR of a word", ">P1;X\nCrambin\nMKV*\n>DL;Y\r\nstructureX:1abc:1:A\r\nMK*\r\n", "P1;X:MKV|DL;Y:MK"},
      {"no PIR, with a stop", ">P1;X\nMKVLAMKVLAMKVLAMKVLAMKVLAMKVLAMK*\n>b\nAC\n",
       "P1;X:MKVLAMKVLAMKVLAMKVLAMKVLAMKVLAMK|b:AC"},
      {"no PIR", ">P1;X\nMKVLAMKVLAMKVLAMKVLAMKVLAMKVLAMK\nAC\n", "P1;X:MKVLAMKVLAMKVLAMKVLAMKVLAMKVLAMKAC"},
      {"placeholders",
       ">a\nMKV\n>b\nSequence unavailable\n>c\n nan \n>d\nNaN\n\n>e\nNone\n>f\nnull\r\n>g\nN/A\n>h\n<NA>\n"
       ">i\n#N/A\n",
       "a:MKV"},
      {"peptides", ">a\nNAN\n>b\nNONE\n>c\nNULL\n>d\nNA\n>e\nNan\n>f\nnan\nMKV\n>g\nMKV\nnan\n",
       "a:NAN|b:NONE|c:NULL|d:NA|e:Nan|f:nanMKV|g:MKVnan"},
      {"white space of Unicode",
       ">a\nMK\xc2\xa0V\xe2\x80\x8bL\xe3\x80\x80\n\xe2\x80\xa8"
       "A\xef\xbb\xbf"
       "C\xc2\x85\n",
       "a:MKVLAC"},
      {"empty sequences dropped", ">a\n>b\nAC\n>c\n\n>d\n*\n", "b:AC"},
      {"byte order mark", "\xef\xbb\xbf>a\nMKV\n", "a:MKV"},
      {"old Mac line ends inside", ">a x\nMKV\rLL\n", "a:MKVLL"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[64];
    snprintf(name, sizeof name, "readable-%zu.fasta", i);
    plm_dataset *dataset = open_text(name, files[i].text);
    if (strcmp(records_of(dataset), files[i].expected) != 0)
      fail_msg("%s: read as '%s', expected '%s'", files[i].what, records_of(dataset), files[i].expected);
    plm_dataset_close(dataset);
  }
}

static void what_was_dropped_is_counted(void **state) {
  (void)state;
  plm_dataset *dataset = open_text("counts.fasta", ">a\nMKV*\n>a\nmk**\n>b\n>a\nA*A\n>c\n*\n");
  const plm_dataset_info *info = plm_dataset_get_info(dataset);
  assert_int_equal(info->count, 3);
  assert_int_equal(info->residues, 8);
  assert_int_equal(info->longest, 3);
  assert_int_equal(info->notes.kinds[PLM_NOTE_STOPS].count, 4);
  assert_int_equal(info->notes.kinds[PLM_NOTE_EMPTY].count, 2);
  assert_int_equal(info->duplicate_names, 2);
  assert_int_equal(info->histogram['A'], 2);
  assert_int_equal(info->histogram['m'], 1);
  assert_int_equal(info->histogram['*'], 1);
  plm_dataset_close(dataset);
}

/* Under `x` one character is one residue, whatever its bytes; what is structure is none. */
static void a_character_is_a_character(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text(
      "characters.fasta",
      ">a\nMK\xc3\xa9V\xe2\x82\xac\xf0\x9f\xa7\xac\xff\n>b\nMK<mask>V5\n; not 5 <mask>\n>c\nMK\xc2\xa0V\n");
  const char *path = scratch_path("characters.fasta");
  plm_dataset_options options = options_for(&path);
  options.policy.invalid = PLM_INVALID_X;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_string_equal(records_of(dataset), "a:MK?V???|b:MK?V5|c:MKV");
  const plm_noted *kinds = plm_dataset_get_info(dataset)->notes.kinds;
  assert_int_equal(kinds[PLM_NOTE_CHARACTERS].count, 6);
  assert_int_equal(kinds[PLM_NOTE_CHARACTERS].character, 0xE9);
  assert_int_equal(kinds[PLM_NOTE_CHARACTERS].first.column, 3);
  assert_int_equal(kinds[PLM_NOTE_MASK_TOKENS].count, 1);
  assert_int_equal(kinds[PLM_NOTE_MASK_TOKENS].first.line, 4);
  assert_int_equal(kinds[PLM_NOTE_SPACES].count, 1);
  assert_int_equal(kinds[PLM_NOTE_SPACES].first.line, 7);
  plm_dataset_close(dataset);
  options.policy.invalid = PLM_INVALID_SKIP;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_string_equal(records_of(dataset), "c:MKV");
  kinds = plm_dataset_get_info(dataset)->notes.kinds;
  assert_int_equal(kinds[PLM_NOTE_SKIPPED].count, 2);
  assert_int_equal(kinds[PLM_NOTE_CHARACTERS].count, 0);
  plm_dataset_close(dataset);
}

/* Each kind: how often, and the line of the first. */
static void each_kind_is_noted_with_its_first_place(void **state) {
  (void)state;
  static const struct {
    plm_note kind;
    const char *text;
    int64_t count, line;
  } rows[] = {
      {PLM_NOTE_STOPS, ">a\nMK\nV**\n>b\nMK*\n", 3, 3},
      {PLM_NOTE_EMPTY, ">a\nMKV\n>b\n>c\n\n", 2, 3},
      {PLM_NOTE_PLACEHOLDERS, ">a\nMKV\n>b\n\nnan\n>c\nNone\n", 2, 5},
      {PLM_NOTE_COMMENTS, ">a\nMKV\n#\n>b\nAC ;\n", 2, 3},
      {PLM_NOTE_COMMENTS, ">a\n# of an empty one\n>b\nAC\n", 1, 2},
      {PLM_NOTE_SEPARATORS, ">a\nMKV\n--\n>b\nAC\n--\n", 2, 3},
      {PLM_NOTE_SEPARATORS, ">a\nMKV\n--\nAC\n", 0, 0},
      {PLM_NOTE_TITLES, ">a\nMKV\n>P1;b\nb\nAC*\n>P1;c\n\nMK*\n", 2, 4},
      {PLM_NOTE_BYTE_ORDER_MARKS, ">a\nMKV\n\xef\xbb\xbf>b\nAC\n", 1, 3},
      {PLM_NOTE_UNNAMED, ">a\nMKV\n>\nAC\n> \nMK\n>\n", 2, 3},
      {PLM_NOTE_SPACES, ">a\nMKV\nM\xc2\xa0\xc2\xa0\n", 2, 3},
      {PLM_NOTE_LOWERCASE, ">a\nMKV\nACmkC\nmk\n", 4, 3},
      {PLM_NOTE_INNER_STOPS, ">a\nMKV*\n>b\nMK\n*V\n**\n", 1, 5},
      {PLM_NOTE_INNER_STOPS, ">a\nMKV*\n>b\nMK\n***\n", 0, 0},
      {PLM_NOTE_GAPS, ">a\nMKV\nA.C-\n", 2, 3},
      {PLM_NOTE_J, ">a\nMKV\njJ\n", 2, 3},
      {PLM_NOTE_NAN, ">a\nMKV\nACnanC\n>b\nMnan\n>c\nMK\nnan\n", 3, 3},
      {PLM_NOTE_NAN, ">a\nMKVnan\nACnan\nMKV\n", 2, 2},
      {PLM_NOTE_NAN, ">a\nMKVnan\nggg\n>b\nMKVgnan\n>c\nmknanv\n>d\nNAN\n>e\nnananaM\n>f\nMNnan\nn\n", 0, 0},
      {PLM_NOTE_DUPLICATES, ">a\nMKV\n>b\nAC\n>b\nMK\n>a\nMK\n>a\n\n", 2, 5},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char name[32];
    snprintf(name, sizeof name, "noted-%zu.fasta", i);
    plm_dataset *dataset = open_text(name, rows[i].text);
    const plm_noted *noted = &plm_dataset_get_info(dataset)->notes.kinds[rows[i].kind];
    if (noted->count != rows[i].count || (rows[i].count > 0 && noted->first.line != rows[i].line))
      fail_msg("row %zu: %lld from line %lld on, expected %lld from line %lld on", i, (long long)noted->count,
               (long long)noted->first.line, (long long)rows[i].count, (long long)rows[i].line);
    plm_dataset_close(dataset);
  }
}

static void nucleotides_are_told_by_share_and_number(void **state) {
  (void)state;
  static const struct {
    int nucleotides, others;
    const char *letters;
    int percent; /* -1: no alarm */
  } rows[] = {
      {180, 20, "ACGT", 90},   {179, 21, "ACGT", -1},   {179, 20, "ACGT", -1},
      {199, 0, "ACGT", -1},    {200, 0, "acgun", 100},  {900, 100, "ACGUN", 90},
      {899, 101, "ACGUN", -1}, {1899, 101, "ACgt", 94}, {30, 0, "AG", -1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    plm_dataset_info info = {0};
    int percent = -1;
    for (int n = 0; n < rows[i].nucleotides; n++)
      info.histogram[(unsigned char)rows[i].letters[(size_t)n % strlen(rows[i].letters)]]++;
    info.histogram['L'] = rows[i].others;
    info.histogram['-'] = 1000; /* no letters */
    if (plm_dataset_looks_like_nucleotides(&info, &percent) != (rows[i].percent >= 0) || percent != rows[i].percent)
      fail_msg("row %zu: %d", i, percent);
  }
}

/* A character, a token and a comment at every place near the end of what is put together of a line, and of a block. */
static void characters_are_cut_nowhere(void **state) {
  (void)state;
  enum { CUT = 1 << 16, BLOCK = 1 << 20 };
  static const char piece[] = "\xe2\x80\x89<mask>\xc3\xa9<unk>";
  char *text = malloc(2 * BLOCK);
  for (size_t size = CUT; size <= BLOCK; size *= BLOCK / CUT)
    for (size_t shift = 0; shift < sizeof piece + 3; shift++) {
      const size_t fill = size - shift - (size == BLOCK ? 3 : 0);
      memcpy(text, ">x\n", 3);
      memset(text + 3, 'A', fill);
      strcpy(text + 3 + fill, piece);
      strcat(text + 3 + fill, "VL\n>b\nMKV\n");
      scratch_write_text("cut-character.fasta", text);
      const char *path = scratch_path("cut-character.fasta");
      plm_dataset_options options = options_for(&path);
      plm_dataset *dataset = NULL;
      int64_t length;
      options.policy.invalid = PLM_INVALID_X;
      assert_ok(plm_dataset_open(&options, &dataset));
      assert_int_equal(plm_dataset_length(dataset, 0), fill + 5);
      assert_memory_equal(plm_dataset_residues(dataset, 0, &length) + fill, "???VL", 5);
      const plm_noted *spaces = &plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_SPACES];
      assert_int_equal(spaces->count, 1);
      assert_int_equal(spaces->first.column, fill + 1);
      plm_dataset_close(dataset);
    }
  free(text);
}

/* Lines and names that the reader's blocks cut, at every place near a cut. */
static void blocks_may_end_anywhere(void **state) {
  (void)state;
  enum { BLOCK = 1 << 20 };
  char *text = malloc(BLOCK + 200);
  for (size_t shift = 0; shift < 24; shift++) {
    size_t fill = BLOCK - 3 - shift;
    memcpy(text, ">x\n", 3);
    memset(text + 3, 'A', fill);
    strcpy(text + 3 + fill, "\r\n>name words\r\nMKV\r\nLL\r\n");
    plm_dataset *dataset = open_text("cut.fasta", text);
    char name[64];
    int64_t length;
    assert_int_equal(plm_dataset_count(dataset), 2);
    assert_int_equal(plm_dataset_length(dataset, 0), fill);
    plm_dataset_name(dataset, 1, name, sizeof name);
    assert_string_equal(name, "name");
    assert_memory_equal(plm_dataset_residues(dataset, 1, &length), "MKVLL", 5);
    assert_int_equal(length, 5);
    plm_dataset_close(dataset);
  }
  free(text);
}

static void a_line_of_5_million_residues_is_read(void **state) {
  (void)state;
  enum { N = 5000000 };
  char *text = malloc(N + 10);
  memcpy(text, ">long\n", 6);
  memset(text + 6, 'L', N);
  strcpy(text + 6 + N, "\n");
  plm_dataset *dataset = open_text("long.fasta", text);
  assert_int_equal(plm_dataset_length(dataset, 0), N);
  assert_int_equal(plm_dataset_get_info(dataset)->histogram['L'], N);
  plm_dataset_close(dataset);
  free(text);
}

static void a_long_name_is_cut(void **state) {
  (void)state;
  char *text = malloc(20010), name[8000];
  memset(text, 'n', 20000);
  text[0] = '>';
  strcpy(text + 20000, "\nMKV\n");
  plm_dataset *dataset = open_text("name.fasta", text);
  plm_dataset_name(dataset, 0, name, sizeof name);
  assert_int_equal(strlen(name), 4096);
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_NAMES_CUT].count, 1);
  plm_dataset_name(dataset, 0, name, 5);
  assert_string_equal(name, "nnnn");
  plm_dataset_close(dataset);
  free(text);
}

static void cut_names_that_differ_are_no_duplicates(void **state) {
  (void)state;
  enum { N = 70000 }; /* in several pieces */
  char *text = malloc(3 * N + 100), *at = text;
  for (int i = 0; i < 3; i++) { /* the third is the first again */
    *at++ = '>';
    memset(at, 'n', N);
    at += N + sprintf(at + N, "%d words\nMKV\n", i % 2);
  }
  plm_dataset *dataset = open_text("long-names.fasta", text);
  assert_int_equal(plm_dataset_get_info(dataset)->duplicate_names, 1);
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_NAMES_CUT].count, 3);
  plm_dataset_close(dataset);
  free(text);
}

/* ---- what is refused ---- */

static void bad_files_give_one_clear_message(void **state) {
  (void)state;
#define BYTES(text) text, sizeof(text) - 1
  const struct {
    const char *name, *text;
    size_t bytes;
    const char *message;
  } files[] = {
      {"empty", BYTES(""), "file is empty"},
      {"blank", BYTES("\n  \n\n"), "nothing in it"},
      {"only-headers", BYTES(">a\n>b\n>c\n"), "all 3 records are empty"},
      {"only-empty", BYTES(">a\n\n>b\n*\n"), "all 2 records are empty"},
      {"text-first", BYTES("\nMKVLLA\n>a\nMKV\n"), "text-first:2: text before the first '>'"},
      {"comment-alone", BYTES("; a comment\n# another\n"), "nothing in it"},
      {"comment-and-text", BYTES("# a comment\nMKV\n"), "comment-and-text:2: text before the first '>'"},
      {"semicolon-inside", BYTES(">a\nMK;V\n"), "semicolon-inside:2: ';' is not an amino acid (column 3)"},
      {"placeholders-only", BYTES(">a\nnan\n>b\nNone\n"), "2 records have a placeholder"},
      {"fastq", BYTES("@read1\nACGT\n+\nIIII\n"), "fastq:1: the line starts with '@': this looks like FASTQ"},
      {"binary",
       BYTES("\x7f"
             "ELF\2\1\1\0\0\0"),
       "binary file"},
      {"nul-inside", BYTES(">a\nMK\0V\n"), "nul-inside:2: a NUL byte"},
      {"digits", BYTES(">a\nMKV\n>b\nMK4V\n"), "digits:4: '4' is not an amino acid"},
      {"phylip-like", BYTES(">a\nMKV 60\n"), "phylip-like:2: '6' is not"},
      {"greater-inside", BYTES(">a\nMK>V\n"), "greater-inside:2: '>' inside"},
      {"latin-1", BYTES(">a\nMK\xe9V\n"), "latin-1:2: byte 0xe9 inside a sequence (column 3) is no character of UTF-8"},
      {"windows", BYTES(">a\nMK\x96V\n"), "Windows-1252"},
      {"accent", BYTES(">a\nM\xc2\xa0K\xc3\xa9V\n"), "accent:2: U+00E9 '\xc3\xa9' is not an amino acid (column 4)"},
      {"cyrillic", BYTES(">a\n\xd0\x9cKV\n"), "cyrillic:2: U+041C '\xd0\x9c' (column 1) looks like 'M'"},
      {"full-width", BYTES(">a\nMK\xef\xbc\xb6\n"), "U+FF36 '\xef\xbc\xb6' (column 3) looks like 'V'"},
      {"minus", BYTES(">a\nMK\xe2\x88\x92V\n"), "looks like '-'"},
      {"control", BYTES(">a\nMK\001V\n"), "control:2: U+0001 is not"},
      {"mask", BYTES(">a\nMK<mask>V\n"), "mask:2: '<mask>' inside a sequence (column 3)"},
      {"cls", BYTES(">a\n<cls>MKV\n"), "cls:2: '<cls>' inside a sequence (column 1)"},
      {"greater-at-the-end", BYTES(">a\nMKV\nAC>\n"), "greater-at-the-end:3: '>' inside"},
      {"greater-behind-a-mark", BYTES(">a\nMKV\xef\xbb\xbf>b\nAC\n"), "'>' inside a sequence (column 5)"},
      {"utf-16", BYTES("\xff\xfe>\0a\0\n\0"), "UTF-16"},
      {"xz",
       BYTES("\xfd"
             "7zXZ\0\0"),
       "xz-compressed"},
      {"bzip2", BYTES("BZh91AY&SY"), "bzip2-compressed"},
      {"zstd", BYTES("\x28\xb5\x2f\xfd\x24"), "zstd-compressed"},
      {"zip", BYTES("PK\3\4\x14"), "zip archive"},
      {"gzip-of-5-bytes", BYTES("\x1f\x8b\x08\0\0"), "cut short"},
      {"hdf5-cut", BYTES("\x89HDF\r\n\x1a\n\0\0\0\0\0\x08\x08\0\4\0\x10\0"), "HDF5"},
      {"plmd-cut", BYTES("PLMDATA1 and no more"), "damaged"},
  };
#undef BYTES
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    plm_dataset *dataset = NULL;
    scratch_write(files[i].name, files[i].text, files[i].bytes);
    assert_fails(open_file(scratch_path(files[i].name), &dataset), PLM_E_INPUT, files[i].message);
    if (strstr(plm_error_message(), scratch_path(files[i].name)) == NULL)
      fail_msg("%s: not named in '%s'", files[i].name, plm_error_message());
    assert_null(dataset);
  }
}

static void what_is_no_file_is_refused(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  assert_fails(open_file(scratch_path("missing.fasta"), &dataset), PLM_E_INPUT, "no such file");
  assert_fails(open_file(scratch_path(""), &dataset), PLM_E_INPUT, "directory");
  assert_null(dataset);
}

static int refuse_open(const char *path, int flags, mode_t mode) {
  (void)path, (void)flags, (void)mode;
  errno = EACCES;
  return -1;
}

static void an_unreadable_file_is_refused(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  plm_fs table = *plm_fs_real();
  scratch_write_text("secret.fasta", ">a\nMKV\n");
  table.open = refuse_open;
  plm_fs_set(&table);
  plm_status status = open_file(scratch_path("secret.fasta"), &dataset);
  plm_fs_set(NULL);
  assert_int_equal(status, PLM_E_INPUT);
  assert_non_null(strstr(plm_error_message(), "secret.fasta"));
  assert_non_null(strstr(plm_error_message(), "ermission"));
}

static void contradictions_are_usage_errors(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  plm_dataset_options options = {.threads = 1};
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_USAGE, "no sequence file");
  const char *twice[] = {"-", "-"};
  options.paths = (plm_sequence_paths){.items = twice, .count = 2};
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_USAGE, "only once");
  plm_dataset *made = open_text("one.fasta", ">a\nMKV\n");
  const char *mixed[] = {scratch_path("one.fasta"), plm_dataset_get_info(made)->path};
  options.paths = (plm_sequence_paths){.items = mixed, .count = 2};
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_USAGE, "cannot be combined");
  plm_dataset_close(made);
}

/* ---- policy ---- */

static void the_policy_decides_about_what_is_no_letter(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  scratch_write_text("policy.fasta", ">a\nMK4V\n>b\nAC\n");
  const char *path = scratch_path("policy.fasta");
  plm_dataset_options options = options_for(&path);
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "not an amino acid");
  options.policy.invalid = PLM_INVALID_X;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_string_equal(records_of(dataset), "a:MK4V|b:AC");
  plm_dataset_close(dataset);
  options.policy.invalid = PLM_INVALID_SKIP;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_string_equal(records_of(dataset), "b:AC");
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_SKIPPED].count, 1);
  plm_dataset_close(dataset);
  dataset = NULL;
  scratch_write_text("policy.fasta", ">a\nMK4V\n");
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "1 was left out");
  scratch_write("policy.fasta", ">a\nMK\0V\n", 8);
  options.policy.invalid = PLM_INVALID_X;
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "NUL"); /* no policy makes a damaged file good */
  scratch_write_text("policy.fasta", ">a\nMKV>b\nAC\n");
  for (int policy = PLM_INVALID_ERROR; policy <= PLM_INVALID_SKIP; policy++) { /* nor two records one */
    options.policy.invalid = (plm_invalid)policy;
    assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "policy.fasta:2: '>' inside");
  }
}

/* ---- streams ---- */

static void standard_input_is_read_and_leaves_no_file(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  char **names;
  size_t count;
  scratch_write_text("stdin.fasta", ">a\nMKV\n");
  int saved = dup(0);
  assert_non_null(freopen(scratch_path("stdin.fasta"), "rb", stdin));
  const char *path = "-";
  plm_dataset_options options = options_for(&path);
  options.cache_directory = scratch_path("stream-cache");
  assert_ok(plm_dataset_open(&options, &dataset));
  dup2(saved, 0);
  close(saved);
  assert_string_equal(records_of(dataset), "a:MKV");
  assert_string_equal(plm_dataset_get_info(dataset)->source, "standard input");
  plm_dataset_close(dataset);
  assert_ok(plm_directory_list(options.cache_directory, &names, &count));
  assert_int_equal(count, 0);
  plm_names_free(names, count);
}

static void a_pipe_is_read(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  char path[64];
  int ends[2];
  assert_int_equal(pipe(ends), 0);
  assert_int_equal(write(ends[1], ">a\nMKV\n", 7), 7);
  close(ends[1]);
  snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
  assert_ok(open_file(path, &dataset));
  close(ends[0]);
  assert_string_equal(records_of(dataset), "a:MKV");
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(readable_files_are_read_as_meant),
      cmocka_unit_test(what_was_dropped_is_counted),
      cmocka_unit_test(blocks_may_end_anywhere),
      cmocka_unit_test(a_line_of_5_million_residues_is_read),
      cmocka_unit_test(a_character_is_a_character),
      cmocka_unit_test(each_kind_is_noted_with_its_first_place),
      cmocka_unit_test(nucleotides_are_told_by_share_and_number),
      cmocka_unit_test(characters_are_cut_nowhere),
      cmocka_unit_test(a_long_name_is_cut),
      cmocka_unit_test(cut_names_that_differ_are_no_duplicates),
      cmocka_unit_test(bad_files_give_one_clear_message),
      cmocka_unit_test(what_is_no_file_is_refused),
      cmocka_unit_test(an_unreadable_file_is_refused),
      cmocka_unit_test(contradictions_are_usage_errors),
      cmocka_unit_test(the_policy_decides_about_what_is_no_letter),
      cmocka_unit_test(standard_input_is_read_and_leaves_no_file),
      cmocka_unit_test(a_pipe_is_read),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
