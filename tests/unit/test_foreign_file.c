/* Kinds of foreign files are told by their beginning, however little of it there is; FASTA is never one of them. What the
 * remedies do is shown by tests/cli/kinds.txt, which executes them. */
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/read/foreign_file.h"
#include "support/scratch.h"

#define TEXT(text) text, sizeof(text) - 1
#define S1 "MKTAYIAKQRQISFVKSHFSRQ"
#define S2 "MEHQLLCCEVETIRRAYPD"

/* In a buffer of its own size, so that reading behind it is noticed. */
static plm_status check(const char *path, const char *text, size_t bytes) {
  char *copy = malloc(bytes > 0 ? bytes : 1);
  memcpy(copy, text, bytes);
  plm_status status = plm_foreign_file_check(path, false, copy, bytes);
  free(copy);
  return status;
}

static const struct {
  const char *text;
  size_t bytes;
  const char *name, *remedy;
} kinds[] = {
    {TEXT("name,sequence\np1," S1 "\np2," S2 "\n"), "a table (CSV) with sequences in column 2, 'sequence'", "awk -F,"},
    {TEXT("p1\t" S1 "\np2\t" S2 "\n"), "a table (TSV) with sequences in column 2;", "print \">\" $1 \"\\n\" $2"},
    {TEXT("p1|" S1 "\np2|" S2 "\n"), "a table (CSV)", "-F'|'"},
    {TEXT("x,y,chain\n1,2," S1 "\n1,3," S2 "\n"), "column 3, 'chain'", "$2 \"\\n\" $3"},
    {TEXT("1,2," S1 "\n1,2," S2 "\n"), "column 3;", "++c \"\\n\" $3"},
    {TEXT(S1 "\n" S2 "\n"), "a list of sequences", "++n"},
    {TEXT("{\"id\": 1, \"sequence\": \"" S1 "\"}\n"), "this is JSON;", "(r.get(\"id\"),r.get(\"sequence\"))"},
    {TEXT("{\"id\": 1, \"sequence\": \"" S1 "\"}\n{\"id\": 2}\n"), "this is JSON Lines;", "map(json.loads"},
    {TEXT("p1,\"a\nb\"," S1 "\np2,\"\"\"\"," S2 "\n"), "a table (CSV) with sequences in column 3;", "$1 \"\\n\" $3"},
    {TEXT("p1," S1 "\rp2," S2), "a table (CSV)", "tr '\\r' '\\n' < 'a b' | awk -F,"},
    {TEXT("id,seq,aa\np1,ATGACGATGACGATG,MTMTM\np2,ATGACGATGACGAAG,MTMTK\n"), "column 3, 'aa'", "$3"},
    {TEXT("peptide,label\n" S1 ",1\n" S2 ",0\n" S1 ",1\n"), "column 1, 'peptide'", "++c"},
    {TEXT("id seq\n1 p1 " S1 "\n2 p2 " S2 "\n"), "column 3, 'seq'", "$2 \"\\n\" $3"},
    {TEXT("seq\n" S1 "\n"), "a list of sequences", "&&h++"},
    {TEXT("a\tb\t9\t9\t9\t0\t1\t9\t1\t9\t1e-9\t9\na\tb\t9\t9\t9\t0\t1\t9\t1\t9\t1e-9\t9\n"
          "a\tc\t9\t9\t9\t0\t1\t9\t1\t9\t1e-9\t9"),
     "hits of BLAST", "FASTA file that was searched"},
    {TEXT("{\"a b\": \"" S1 "\"}\n"), "JSON", ".items()"},
    {TEXT("{\"it's\": \"" S1 "\"}\n"), "JSON", "for each sequence"},
    {TEXT("CLUSTAL W\n\np1 " S1 "\n"), "a Clustal alignment", "awk"},
    {TEXT("# STOCKHOLM 1.0\np1 " S1 "\n//\n"), "a Stockholm alignment", "awk"},
    {TEXT("2 22\np1 " S1 "\n"), "a PHYLIP alignment", "awk"},
    {TEXT("#NEXUS\nmatrix\np1 " S1 "\n;\n"), "a NEXUS alignment", "awk"},
    {TEXT("LOCUS       A  22 aa   linear\nORIGIN\n"), "GenPept", "awk"},
    {TEXT("ID   A_HUMAN   Reviewed;  22 AA.\n"), "a UniProt flat file", "awk"},
    {TEXT("HEADER    X\nATOM      1  CA  MET A   1\n"), "a PDB file", "awk"},
    {TEXT("<html><title>Log in"), "a web page (HTML);", "download the file itself again"},
    {TEXT("<!DOCTYPE HTML><TITLE>Log in</TITLE>"), "titled 'Log in'", "download the file itself again"},
    {TEXT("version https://git-lfs.github.com/spec/v1\n"), "a git-lfs pointer", "git lfs pull --include 'a b'"},
    {TEXT("PAR1\x15\x04\0\0"), "a Parquet table", "'a b' > mended.fasta"},
    {TEXT("BZh91AY&SY"), "bzip2-compressed", "bzip2 -dc < 'a b' > mended.fasta"},
    {TEXT("PK\3\4"), "a zip archive", "unzip -p 'a b' > mended.fasta"},
    {TEXT("\x80\x04\x95pandas.core"), "a Python pickle of a pandas table", "read_pickle"},
    {TEXT("\x80\x04\x95"
          "collections"),
     "a Python pickle,", "pickle.load"},
    {TEXT("\x80\x02torch._utils"), "a PyTorch file", "torch.load"},
    {TEXT("\xff\xfe>\0a\0"), "UTF-16 text", "iconv -f UTF-16 "},
    {TEXT(">\0a\0\n\0"), "UTF-16 text", "iconv -f UTF-16LE "},
    {TEXT("\0n\0a\0,\0s"), "UTF-16 text", "iconv -f UTF-16BE "},
    {TEXT("\n\0\0\0>\0\0\0"), "UTF-32 text", "iconv -f UTF-32LE "},
};

static void kinds_are_called_by_their_name(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    assert_fails(check("a b", kinds[i].text, kinds[i].bytes), PLM_E_INPUT, kinds[i].name);
    if (strstr(plm_error_hint(), kinds[i].remedy) == NULL)
      fail_msg("%s: '%s' is not in '%s'", kinds[i].name, kinds[i].remedy, plm_error_hint());
  }
}

/* A file that is cut anywhere, or of which only so much was seen, is of some kind or none; nothing behind it is read. */
static void any_beginning_will_do(void **state) {
  (void)state;
  size_t known = 0;
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    for (size_t bytes = 0; bytes <= kinds[i].bytes; bytes++) {
      plm_status status = check("a", kinds[i].text, bytes);
      assert_true(status == PLM_OK || status == PLM_E_INPUT);
      known += status != PLM_OK;
    }
  assert_true(known > sizeof kinds / sizeof *kinds);
}

static void fasta_is_no_other_kind(void **state) {
  (void)state;
  static const char *const texts[] = {
      ">a,b;c\td {e} [f] @g #h |i \"j\"\n" S1 "\n",
      ">" S1 "\n" S1 "\n",
      "\xef\xbb\xbf>a\n" S1 "\n",
      "\n \r\n>a\n" S1 "\n",
      "; a comment\n>a\n" S1 "\n",
      "# p1,p2,p3\n# " S1 "\n>a\n" S1 "\n",
      "--\n>a\n" S1 "\n",
      "//\n=====\n  >a\n" S1 "\n",
      ">{\"id\": \"a\", \"sequence\": \"" S1 "\"}\n" S1 "\n",
      "><html><title>x</title>\n" S1 "\n",
      ">a\n>b\n",
      ">",
  };
  scratch_write("a.csv", ">a\n", 3);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    for (size_t bytes = strcspn(texts[i], ">") + 1; bytes <= strlen(texts[i]); bytes++)
      if (check(scratch_path("a.csv"), texts[i], bytes) != PLM_OK)
        fail_msg("%.*s: %s", (int)bytes, texts[i], plm_error_message());
  assert_ok(check(scratch_path("a.csv"), "", 0));
}

static void prose_is_no_other_kind(void **state) {
  (void)state;
  static const char *const texts[] = {
      "Dear all,\nplease find attached\n", "Forbidden\n", "404: Not Found", "MKV\n>a\nMKV\n",
      "Results, of today,\nand others\n",  "a\nb\nc\n"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (check("a", texts[i], strlen(texts[i])) != PLM_OK) fail_msg("%s: %s", texts[i], plm_error_message());
}

/* The remedy writes a new file; one that is there stays. */
static void mended_files_get_a_free_name(void **state) {
  (void)state;
  char name[PLM_MENDED_NAME];
  assert_int_equal(chdir(scratch_path("")), 0);
  assert_string_equal(plm_mended_name(".fasta", name), "mended.fasta");
  scratch_write("mended.fasta", "x", 1);
  assert_string_equal(plm_mended_name(".fasta", name), "mended-2.fasta");
  scratch_write("mended-2.fasta", "x", 1);
  assert_string_equal(plm_mended_name(".fasta", name), "mended-3.fasta");
  assert_string_equal(plm_mended_name(".h5", name), "mended.h5");
  assert_int_equal(chdir("/"), 0);
}

static void headers_that_hold_the_letters_are_seen(void **state) {
  (void)state;
  const struct {
    const char *text, *remedy; /* NULL: none */
  } files[] = {
      {">" S1 "\n>" S2 "\n", "++n \"\\n\" substr($0,2)"},
      {">a\t" S1 "\n>b\t" S2 "\n", "-F'\\t'"},
      {">a some words " S1 "\n", "awk '/^>/{print $1 \"\\n\" $NF}'"},
      {">a," S1 "\n", "-F,"},
      {">a\n>b\n", NULL},
      {">sp|P12345|A_HUMAN Protein kinase\n", NULL},
      {">" S1 "\n>b\n", NULL},
      {">a\t" S1 "\n>b," S2 "\n", NULL},
  };
  for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
    scratch_write("headers.fasta", files[i].text, strlen(files[i].text));
    plm_status status =
        plm_foreign_file_header_hint(scratch_path("headers.fasta"), plm_fail(PLM_E_INPUT, "the first message"));
    assert_int_equal(status, PLM_E_INPUT);
    assert_string_equal(plm_error_message(), "the first message");
    if (files[i].remedy == NULL)
      assert_string_equal(plm_error_hint(), "");
    else if (strstr(plm_error_hint(), files[i].remedy) == NULL)
      fail_msg("%s: '%s' is not in '%s'", files[i].text, files[i].remedy, plm_error_hint());
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(kinds_are_called_by_their_name),
      cmocka_unit_test(any_beginning_will_do),
      cmocka_unit_test(fasta_is_no_other_kind),
      cmocka_unit_test(prose_is_no_other_kind),
      cmocka_unit_test(headers_that_hold_the_letters_are_seen),
      cmocka_unit_test(mended_files_get_a_free_name),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
