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

/* "name:residues|name:residues" */
static const char *summary(const plm_dataset *dataset) {
  static char text[4096];
  size_t used = 0;
  text[0] = '\0';
  for (int64_t id = 0; id < plm_dataset_count(dataset); id++) {
    char name[64];
    int64_t length;
    plm_dataset_name(dataset, id, name, sizeof name);
    const char *residues = plm_dataset_residues(dataset, id, &length);
    used +=
        (size_t)snprintf(text + used, sizeof text - used, "%s%s:%.*s", id > 0 ? "|" : "", name, (int)length, residues);
  }
  return text;
}

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
      {"no name", ">\nMKV\n> x\nAC\n", "0:MKV|1:AC"},
      {"empty sequences dropped", ">a\n>b\nAC\n>c\n\n>d\n*\n", "b:AC"},
      {"byte order mark", "\xef\xbb\xbf>a\nMKV\n", "a:MKV"},
      {"old Mac line ends inside", ">a x\nMKV\rLL\n", "a:MKVLL"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[64];
    snprintf(name, sizeof name, "readable-%zu.fasta", i);
    plm_dataset *dataset = open_text(name, files[i].text);
    if (strcmp(summary(dataset), files[i].expected) != 0)
      fail_msg("%s: read as '%s', expected '%s'", files[i].what, summary(dataset), files[i].expected);
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
  plm_dataset_name(dataset, 0, name, 5);
  assert_string_equal(name, "nnnn");
  plm_dataset_close(dataset);
  free(text);
}

/* ---- compressed ---- */

static void write_gzip(const char *name, const char *text) {
  gzFile file = gzopen(scratch_path(name), "wb");
  assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
  assert_int_equal(gzclose(file), Z_OK);
}

static plm_status open_at(const char *path, plm_dataset **ret_dataset) {
  plm_dataset_options options = options_for(&path);
  return plm_dataset_open(&options, ret_dataset);
}

/* 20,000 made-up residues in 100 sequences. */
static char *large_text(void) {
  char *text = malloc(30000), *at = text;
  for (int i = 0; i < 100; i++) {
    at += sprintf(at, ">p%d\n", i);
    at += made_up_protein(20, i, 200, 200, at);
    at += sprintf(at, "\n");
  }
  return text;
}

static void gzip_and_plain_have_the_same_content(void **state) {
  (void)state;
  char *text = large_text();
  plm_dataset *plain = open_text("same.fasta", text), *packed = NULL;
  write_gzip("same.gz", text);
  assert_ok(open_at(scratch_path("same.gz"), &packed));
  assert_string_equal(plm_dataset_get_info(packed)->content_hash, plm_dataset_get_info(plain)->content_hash);
  plm_dataset_close(plain);
  plm_dataset_close(packed);
  free(text);
}

static void copy_part(const char *from, const char *to, size_t bytes, size_t damaged) {
  static char data[1 << 16];
  FILE *file = fopen(scratch_path(from), "rb");
  size_t length = fread(data, 1, sizeof data, file);
  fclose(file);
  assert_true(bytes <= length);
  if (damaged > 0) memset(data + damaged, 'X', 16);
  scratch_write(to, data, bytes > 0 ? bytes : length);
}

static void damaged_gzip_is_called_damaged(void **state) {
  (void)state;
  char *text = large_text();
  plm_dataset *dataset = NULL;
  write_gzip("whole.gz", text);
  free(text);
  copy_part("whole.gz", "half.gz", 5000, 0);
  copy_part("whole.gz", "nearly.gz", 12000, 0);
  copy_part("whole.gz", "garbled.gz", 0, 6000);
  const char *files[] = {"half.gz", "nearly.gz", "garbled.gz"};
  for (size_t i = 0; i < 3; i++)
    assert_fails(open_at(scratch_path(files[i]), &dataset), PLM_E_INPUT, i < 2 ? "is cut short" : "is damaged");
  assert_null(dataset);
}

/* ---- compressed members, one after the other ---- */

static const unsigned char end_mark[28] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0, 0x1b, 0, 3, 0};

/* A file that is put together from members; nothing of htslib's is used. */
typedef struct members {
  unsigned char data[8192];
  size_t bytes;
} members;

static void add_bytes(members *m, const void *data, size_t bytes) {
  assert_true(m->bytes + bytes <= sizeof m->data);
  memcpy(m->data + m->bytes, data, bytes);
  m->bytes += bytes;
}

static void add_deflated(members *m, const char *text) {
  z_stream z = {
      .next_in = (unsigned char *)(uintptr_t)text,
      .avail_in = (unsigned)strlen(text),
      .next_out = m->data + m->bytes,
      .avail_out = (unsigned)(sizeof m->data - m->bytes),
  };
  deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  m->bytes += z.total_out;
  deflateEnd(&z);
  uint32_t tail[2] = {(uint32_t)crc32(0, (const unsigned char *)text, (unsigned)strlen(text)), (uint32_t)strlen(text)};
  add_bytes(m, tail, sizeof tail);
}

static void add_gzip(members *m, const char *text) {
  static const unsigned char header[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
  add_bytes(m, header, sizeof header);
  add_deflated(m, text);
}

static void add_block(members *m, const char *text) {
  static const unsigned char header[18] = {0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 6, 0, 'B', 'C', 2, 0};
  size_t begin = m->bytes;
  add_bytes(m, header, sizeof header);
  add_deflated(m, text);
  m->data[begin + 16] = (unsigned char)((m->bytes - begin - 1) & 0xff);
  m->data[begin + 17] = (unsigned char)((m->bytes - begin - 1) >> 8);
}

/* In `parts`: g, b: a gzip member, a bgzf block with the next record; e: bgzip's end mark; z: zeros; j: junk;
 * t: a record as it is; x: a block whose record has no end; c: the last 9 bytes are cut off. */
static void build_members(members *m, const char *parts) {
  static const char *const records[] = {">a\nMKV\n", ">b\nAC\n", ">c\nWWW\n", ">d\nLL\n"};
  size_t next = 0;
  m->bytes = 0;
  for (; *parts != '\0'; parts++) {
    if (*parts == 'g') add_gzip(m, records[next++]);
    if (*parts == 'b') add_block(m, records[next++]);
    if (*parts == 'x') add_block(m, ">x\nMKVL");
    if (*parts == 'e') add_bytes(m, end_mark, sizeof end_mark);
    if (*parts == 'z') add_bytes(m, (char[512]){0}, 512);
    if (*parts == 'j') add_bytes(m, "\x01junk", 5);
    if (*parts == 't') add_bytes(m, ">t\nKK\n", 6);
    if (*parts == 'c') m->bytes -= 9;
  }
}

/* As gzip -dc gives it, in whatever order members of either kind come. */
static void compressed_members_are_read_in_any_order(void **state) {
  (void)state;
  const struct {
    const char *parts, *expected;
  } files[] = {
      {"g", "a:MKV"},
      {"gg", "a:MKV|b:AC"},
      {"bbe", "a:MKV|b:AC"},
      {"bebe", "a:MKV|b:AC"},
      {"bbeg", "a:MKV|b:AC|c:WWW"},
      {"gbe", "a:MKV|b:AC"},
      {"bgb", "a:MKV|b:AC|c:WWW"},
      {"b", "a:MKV"},
      {"bb", "a:MKV|b:AC"},
      {"gz", "a:MKV"},
      {"bez", "a:MKV"},
      {"bzz", "a:MKV"},
      {"gj", "a:MKV"},
      {"bej", "a:MKV"},
      {"ebe", "a:MKV"},
      {"xe", "x:MKVL"},
      {"gbegbe", "a:MKV|b:AC|c:WWW|d:LL"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[32];
    members m;
    plm_dataset *dataset = NULL;
    build_members(&m, files[i].parts);
    snprintf(name, sizeof name, "%s.gz", files[i].parts);
    scratch_write(name, m.data, m.bytes);
    assert_ok(open_at(scratch_path(name), &dataset));
    if (strcmp(summary(dataset), files[i].expected) != 0)
      fail_msg("%s: read as '%s', expected '%s'", files[i].parts, summary(dataset), files[i].expected);
    plm_dataset_close(dataset);
  }
}

static void what_is_not_whole_is_refused(void **state) {
  (void)state;
  const struct {
    const char *parts, *message;
  } files[] = {
      {"gc", "cut short"},     {"ggc", "cut short"},
      {"bbc", "cut short"},    {"bec", "cut short"},
      {"bebgc", "cut short"},  {"x", "inside line 2"},
      {"bx", "inside line 4"}, {"gt", "comes text that is not compressed"},
      {"bet", "at byte"},      {"e", "there is nothing in it"},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    char name[32];
    members m;
    plm_dataset *dataset = NULL;
    build_members(&m, files[i].parts);
    snprintf(name, sizeof name, "%s.gz", files[i].parts);
    scratch_write(name, m.data, m.bytes);
    assert_fails(open_at(scratch_path(name), &dataset), PLM_E_INPUT, files[i].message);
    assert_null(dataset);
  }
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
      {"comment-first", BYTES("; a comment\n>a\nMKV\n"), "comment-first:1: the line starts with ';'"},
      {"comment-inside", BYTES(">a\n; a comment\nMKV\n"), "comment-inside:2: ';' inside a sequence"},
      {"fastq", BYTES("@read1\nACGT\n+\nIIII\n"), "fastq:1: the line starts with '@': this looks like FASTQ"},
      {"binary",
       BYTES("\x7f"
             "ELF\2\1\1\0\0\0"),
       "binary file"},
      {"nul-inside", BYTES(">a\nMK\0V\n"), "nul-inside:2: a NUL byte"},
      {"digits", BYTES(">a\nMKV\n>b\nMK4V\n"), "digits:4: '4' is not an amino acid"},
      {"phylip-like", BYTES(">a\nMKV 60\n"), "phylip-like:2: '6' is not"},
      {"greater-inside", BYTES(">a\nMK>V\n"), "greater-inside:2: '>' inside"},
      {"latin-1", BYTES(">a\nMK\xe9V\n"), "latin-1:2: a byte of value 233"},
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
    assert_fails(open_at(scratch_path(files[i].name), &dataset), PLM_E_INPUT, files[i].message);
    if (strstr(plm_error_message(), scratch_path(files[i].name)) == NULL)
      fail_msg("%s: not named in '%s'", files[i].name, plm_error_message());
    assert_null(dataset);
  }
}

static void what_is_no_file_is_refused(void **state) {
  (void)state;
  plm_dataset *dataset = NULL;
  assert_fails(open_at(scratch_path("missing.fasta"), &dataset), PLM_E_INPUT, "no such file");
  assert_fails(open_at(scratch_path(""), &dataset), PLM_E_INPUT, "directory");
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
  plm_status status = open_at(scratch_path("secret.fasta"), &dataset);
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
  assert_string_equal(summary(dataset), "a:MK4V|b:AC");
  plm_dataset_close(dataset);
  options.policy.invalid = PLM_INVALID_SKIP;
  assert_ok(plm_dataset_open(&options, &dataset));
  assert_string_equal(summary(dataset), "b:AC");
  assert_int_equal(plm_dataset_get_info(dataset)->notes.kinds[PLM_NOTE_SKIPPED].count, 1);
  plm_dataset_close(dataset);
  dataset = NULL;
  scratch_write_text("policy.fasta", ">a\nMK4V\n");
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "1 were left out");
  scratch_write("policy.fasta", ">a\nMK\0V\n", 8);
  options.policy.invalid = PLM_INVALID_X;
  assert_fails(plm_dataset_open(&options, &dataset), PLM_E_INPUT, "NUL"); /* no policy makes a damaged file good */
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
  assert_string_equal(summary(dataset), "a:MKV");
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
  assert_ok(open_at(path, &dataset));
  close(ends[0]);
  assert_string_equal(summary(dataset), "a:MKV");
  plm_dataset_close(dataset);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(readable_files_are_read_as_meant),
      cmocka_unit_test(what_was_dropped_is_counted),
      cmocka_unit_test(blocks_may_end_anywhere),
      cmocka_unit_test(a_line_of_5_million_residues_is_read),
      cmocka_unit_test(a_long_name_is_cut),
      cmocka_unit_test(gzip_and_plain_have_the_same_content),
      cmocka_unit_test(damaged_gzip_is_called_damaged),
      cmocka_unit_test(compressed_members_are_read_in_any_order),
      cmocka_unit_test(what_is_not_whole_is_refused),
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
