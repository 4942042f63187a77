/* Compressed text: gzip of one and of several members, bgzf, and files that are damaged, cut short or followed by something
 * else. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/file.h"
#include "data/dataset.h"
#include "support/scratch.h"
#include "support/sequences.h"

static void write_gzip(const char *name, const char *text) {
  gzFile file = gzopen(scratch_path(name), "wb");
  assert_int_equal(gzwrite(file, text, (unsigned)strlen(text)), strlen(text));
  assert_int_equal(gzclose(file), Z_OK);
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
  assert_ok(open_file(scratch_path("same.gz"), &packed));
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
    assert_fails(open_file(scratch_path(files[i]), &dataset), PLM_E_INPUT, i < 2 ? "is cut short" : "is damaged");
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

static plm_status open_members(const char *parts, plm_dataset **ret_dataset) {
  char name[32];
  members m;
  build_members(&m, parts);
  snprintf(name, sizeof name, "%s.gz", parts);
  scratch_write(name, m.data, m.bytes);
  return open_file(scratch_path(name), ret_dataset);
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
    plm_dataset *dataset = NULL;
    assert_ok(open_members(files[i].parts, &dataset));
    if (strcmp(records_of(dataset), files[i].expected) != 0)
      fail_msg("%s: read as '%s', expected '%s'", files[i].parts, records_of(dataset), files[i].expected);
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
    plm_dataset *dataset = NULL;
    assert_fails(open_members(files[i].parts, &dataset), PLM_E_INPUT, files[i].message);
    assert_null(dataset);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gzip_and_plain_have_the_same_content),
      cmocka_unit_test(damaged_gzip_is_called_damaged),
      cmocka_unit_test(compressed_members_are_read_in_any_order),
      cmocka_unit_test(what_is_not_whole_is_refused),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
