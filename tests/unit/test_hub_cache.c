/* What a model's name means: a directory, or a hub id found in the Hugging Face cache as
 * huggingface_hub lays it out. */
#define _GNU_SOURCE
#include "support/unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "hub/model_dir.h"
#include "support/scratch.h"

static void make_snapshot(const char *cache, const char *repository, const char *commit) {
  char path[512], *whole;
  snprintf(path, sizeof path, "%s/%s/snapshots/%s", cache, repository, commit);
  assert_ok(plm_directory_make(scratch_path(path)));
  snprintf(path, sizeof path, "%s/%s/blobs", cache, repository);
  assert_ok(plm_directory_make(scratch_path(path)));
  snprintf(path, sizeof path, "%s/%s/refs/pr", cache, repository);
  assert_ok(plm_directory_make(scratch_path(path)));
  snprintf(path, sizeof path, "%s/%s/blobs/config", cache, repository);
  scratch_write_text(path, "{}");
  assert_ok(plm_sprintf(&whole, "%s/%s/%s/snapshots/%s/config.json", scratch_path(""), cache, repository, commit));
  unlink(whole);
  assert_int_equal(symlink("../../blobs/config", whole), 0);
  plm_free(whole);
}

static void assert_resolves(const char *name, const char *ending) {
  char *directory;
  assert_ok(plm_model_dir_resolve(name, &directory));
  size_t length = strlen(directory), tail = strlen(ending);
  if (length < tail || strcmp(directory + length - tail, ending) != 0) fail_msg("%s is %s", name, directory);
  plm_free(directory);
}

static void hub_ids_are_found_in_the_cache(void **state) {
  (void)state;
  static const char repository[] = "models--facebook--esm2_t6_8M_UR50D";
  char *directory;
  make_snapshot("cache", repository, "c731040f");
  make_snapshot("cache", repository, "0123abcd");
  scratch_write_text("cache/models--facebook--esm2_t6_8M_UR50D/refs/main", "c731040f\n");
  scratch_write_text("cache/models--facebook--esm2_t6_8M_UR50D/refs/pr/1", "0123abcd");
  scratch_write_text("cache/models--facebook--esm2_t6_8M_UR50D/refs/evil", "../../../x");
  scratch_write_text("cache/models--facebook--esm2_t6_8M_UR50D/refs/lost", "ffff");
  setenv("HF_HUB_CACHE", scratch_path("cache"), 1);
  assert_resolves("facebook/esm2_t6_8M_UR50D", "/snapshots/c731040f");
  assert_resolves("esm2_t6_8M_UR50D", "/snapshots/c731040f");
  assert_resolves("facebook/esm2_t6_8M_UR50D@main", "/snapshots/c731040f");
  assert_resolves("facebook/esm2_t6_8M_UR50D@pr/1", "/snapshots/0123abcd");
  assert_resolves("esm2_t6_8M_UR50D@0123abcd", "/snapshots/0123abcd");
  assert_fails(plm_model_dir_resolve("facebook/esm2_t6_8M_UR50D@evil", &directory), PLM_E_INPUT, "commit");
  assert_fails(plm_model_dir_resolve("facebook/esm2_t6_8M_UR50D@lost", &directory), PLM_E_INPUT,
               "hf download facebook/esm2_t6_8M_UR50D --revision lost");
  assert_fails(plm_model_dir_resolve("facebook/esm2_t6_8M_UR50D@../x", &directory), PLM_E_INPUT, "no such directory");
  assert_fails(plm_model_dir_resolve("facebook/esm2_t33_650M_UR50D", &directory), PLM_E_INPUT,
               "hf download facebook/esm2_t33_650M_UR50D");
  assert_fails(plm_model_dir_resolve("esm2_t33_650M_UR50D", &directory), PLM_E_INPUT,
               "hf download facebook/esm2_t33_650M_UR50D");
  /* a link to nothing: a cut download */
  assert_ok(plm_file_remove(scratch_path("cache/models--facebook--esm2_t6_8M_UR50D/blobs/config")));
  assert_fails(plm_model_dir_resolve("esm2_t6_8M_UR50D", &directory), PLM_E_INPUT, "not complete");
}

static void the_cache_is_where_the_environment_says(void **state) {
  (void)state;
  static const char repository[] = "models--org--name";
  make_snapshot("home/hub", repository, "aa");
  make_snapshot("xdg/huggingface/hub", repository, "bb");
  make_snapshot("user/.cache/huggingface/hub", repository, "cc");
  scratch_write_text("home/hub/models--org--name/refs/main", "aa");
  scratch_write_text("xdg/huggingface/hub/models--org--name/refs/main", "bb");
  scratch_write_text("user/.cache/huggingface/hub/models--org--name/refs/main", "cc");
  unsetenv("HF_HUB_CACHE");
  setenv("HOME", scratch_path("user"), 1);
  setenv("XDG_CACHE_HOME", scratch_path("xdg"), 1);
  setenv("HF_HOME", scratch_path("home"), 1);
  assert_resolves("org/name", "aa");
  unsetenv("HF_HOME");
  assert_resolves("org/name", "bb");
  unsetenv("XDG_CACHE_HOME");
  assert_resolves("org/name", "cc");
  setenv("HF_HOME", "~/.cache/huggingface", 1);
  assert_resolves("org/name", "cc");
  unsetenv("HF_HOME");
}

static void other_names_are_directories_or_errors(void **state) {
  (void)state;
  char *directory;
  assert_resolves(PLM_SOURCE_DIR "/tests/fixtures/parity/d8", "parity/d8");
  assert_fails(plm_model_dir_resolve("esm2_t6_8M", &directory), PLM_E_USAGE, "random weights");
  assert_fails(plm_model_dir_resolve("", &directory), PLM_E_USAGE, "empty");
  assert_fails(plm_model_dir_resolve("./nowhere", &directory), PLM_E_INPUT, "no such directory");
  assert_fails(plm_model_dir_resolve("a/b/c", &directory), PLM_E_INPUT, "no such directory");
  assert_fails(plm_model_dir_resolve(PLM_SOURCE_DIR "/tests/fixtures/parity/d8/config.json", &directory), PLM_E_INPUT,
               "is a file");
}

/* Before gigabytes are downloaded to learn that they are not read. */
static void families_that_are_not_read_are_known_by_their_names(void **state) {
  (void)state;
  char *directory;
  static const char *const ids[][2] = {
      {"Rostlab/prot_t5_xl_uniref50", "ProtT5"},
      {"Rostlab/prot_bert", "ProtBERT"},
      {"Rostlab/ProstT5", "ProstT5"},
      {"facebook/esm1b_t33_650M_UR50S", "ESM-1b"},
      {"facebook/esm1v_t33_650M_UR90S_1", "ESM-1v"},
      {"facebook/esm_msa1b_t12_100M_UR50S", "MSA Transformer"},
      {"facebook/esmfold_v1", "ESMFold"},
      {"EvolutionaryScale/esm3-sm-open-v1", "ESM3"},
      {"EvolutionaryScale/esmc-600m-2024-12", "ESM C"},
      {"chandar-lab/AMPLIFY_350M", "AMPLIFY"},
      {"ElnaggarLab/ankh-large", "Ankh"},
      {"hugohrban/progen2-small", "ProGen"},
      {"nferruz/ProtGPT2", "ProtGPT2"},
      {"GrimSqueaker/proteinBERT", "ProteinBERT"},
      {"qilowoq/AbLang_heavy", "AbLang"},
      {"westlake-repl/SaProt_650M_AF2", "SaProt"},
      {"airkingbd/dplm_650m", "DPLM"},
      {"https://huggingface.co/Rostlab/prot_t5_xl_half_uniref50-enc", "ProtT5"},
      {"esm1b_t33_650M_UR50S", "ESM-1b"},
  };
  setenv("HF_HUB_CACHE", scratch_path("empty-cache"), 1);
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    assert_fails(plm_model_dir_resolve(ids[i][0], &directory), PLM_E_INPUT, ids[i][1]);
    assert_non_null(strstr(plm_error_message(), "protlm reads models of ESM-2 only"));
    assert_null(strstr(plm_error_hint(), "hf download"));
  }
  static const char *const unknown[] = {"facebook/esm2_t33_650M_UR50D", "someone/ESM2-for-saprot", "a/b"};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    assert_fails(plm_model_dir_resolve(unknown[i], &directory), PLM_E_INPUT, "`hf download ");
  /* one that is there is what its config.json says, whatever it is called */
  make_snapshot("empty-cache", "models--me--dplm-like", "0123abcd");
  assert_resolves("me/dplm-like@0123abcd", "/snapshots/0123abcd");
  unsetenv("HF_HUB_CACHE");
}

static void web_addresses_are_brought_to_names(void **state) {
  (void)state;
  char *directory;
  static const char *const addresses[] = {"https://huggingface.co/facebook/esm2_t6_8M_UR50D",
                                          "https://hf.co/facebook/esm2_t6_8M_UR50D/tree/main",
                                          "huggingface.co/facebook/esm2_t6_8M_UR50D?library=transformers"};
  for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
    assert_fails(plm_model_dir_resolve(addresses[i], &directory), PLM_E_INPUT, "web address");
    assert_string_equal(plm_error_hint(), "--model facebook/esm2_t6_8M_UR50D");
  }
  assert_fails(plm_model_dir_resolve("https://example.org/x.tar.gz", &directory), PLM_E_INPUT, "nothing is downloaded");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(hub_ids_are_found_in_the_cache),
      cmocka_unit_test(the_cache_is_where_the_environment_says),
      cmocka_unit_test(other_names_are_directories_or_errors),
      cmocka_unit_test(families_that_are_not_read_are_known_by_their_names),
      cmocka_unit_test(web_addresses_are_brought_to_names),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
