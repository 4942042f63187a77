/* The table of `protlm info` under a launcher: made-up ranks, exact text. */
#include "support/unit.h"

#include <stdio.h>

#include "app/info_ranks.h"

static char printed[4096];

static void take(void *user, const char *text) {
  (void)user;
  snprintf(printed + strlen(printed), sizeof printed - strlen(printed), "%s", text);
}

static json_t *section_of(const char *text) {
  json_error_t error;
  json_t *section = json_loads(text, 0, &error);
  if (section == NULL) fail_msg("%s", error.text);
  return section;
}

static void each_rank_has_a_line_under_what_joins_them(void **state) {
  json_t *section = section_of(
      "{\"launched_by\": \"srun\", \"communicator\": \"Open MPI 4.1.4\", \"world_size\": 2, \"hosts\": 2, \"table\": ["
      "{\"rank\": 0, \"local_rank\": 0, \"world_size\": 2, \"host\": \"n1\", \"cpus\": \"0-7,64-71\", \"numa_nodes\": \"0\","
      " \"threads\": 16, \"memory_bytes\": 270582939648, \"level\": \"avx512bf16\"},"
      "{\"rank\": 1, \"local_rank\": 0, \"world_size\": 2, \"host\": \"node-2\", \"cpus\": \"8\", \"numa_nodes\": \"0-1\","
      " \"threads\": 1, \"memory_bytes\": 1073741824, \"level\": \"avx2\"}]}");
  const plm_output output = {.write = take};
  (void)state;
  plm_info_print_ranks(&output, section);
  json_decref(section);
  assert_string_equal(printed,
                      "2 ranks on 2 hosts, started by srun, joined by Open MPI 4.1.4\n"
                      "\n"
                      "  rank  local rank  world size  host    CPUs       NUMA  threads    memory  level\n"
                      "     0           0           2  n1      0-7,64-71  0          16   252 GiB  avx512bf16\n"
                      "     1           0           2  node-2  8          0-1         1  1.00 GiB  avx2\n");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(each_rank_has_a_line_under_what_joins_them)};
  return cmocka_run_group_tests_name("info_ranks", tests, NULL, NULL);
}
