/* Sets of processors: the kernel's notation, there and back; NUMA nodes of a made-up machine. */
#include "support/unit.h"

#include <stdio.h>

#include "base/cpu_set.h"
#include "base/file.h"
#include "support/scratch.h"

static plm_cpu_set parse(const char *text) {
  plm_cpu_set set;
  if (!plm_cpu_set_parse(text, &set)) fail_msg("'%s' is no list", text);
  return set;
}

static void lists_are_read_and_written_in_the_kernels_notation(void **state) {
  static const struct {
    const char *text, *again;
    int count;
  } cases[] = {
      {"0", "0", 1},         {"0-7", "0-7", 8},     {"0-7\n", "0-7", 8},
      {"7,0,1", "0-1,7", 3}, {"0-3,4-7", "0-7", 8}, {"63-64", "63-64", 2},
      {"0,2,4", "0,2,4", 3}, {"4095", "4095", 1},   {"4094-9000", "4094-4095", 2},
      {"5-5", "5", 1},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char text[PLM_CPU_SET_TEXT];
    const plm_cpu_set set = parse(cases[i].text);
    assert_string_equal(plm_cpu_set_text(&set, text), cases[i].again);
    assert_int_equal(plm_cpu_set_count(&set), cases[i].count);
  }
}

static void what_is_no_list_is_an_empty_set(void **state) {
  static const char *const nonsense[] = {"", "\n", "a", "1-", "-1", "3-1", "1,", "1;2", "1 2", "0-3:1/2"};
  (void)state;
  for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
    plm_cpu_set set = parse("1");
    char text[PLM_CPU_SET_TEXT];
    if (plm_cpu_set_parse(nonsense[i], &set)) fail_msg("'%s' is taken for a list", nonsense[i]);
    assert_string_equal(plm_cpu_set_text(&set, text), "");
  }
}

/* Every second processor of many: what does not fit is not shown in part. */
static void a_long_list_is_cut_between_ranges(void **state) {
  plm_cpu_set set = {0}, again;
  char text[PLM_CPU_SET_TEXT];
  (void)state;
  for (int i = 0; i < PLM_CPU_SET_WORDS; i++) set.words[i] = 0x5555555555555555u;
  plm_cpu_set_text(&set, text);
  char *dots = strstr(text, ",...");
  assert_non_null(dots);
  assert_int_equal(dots[4], '\0');
  *dots = '\0';
  assert_true(plm_cpu_set_parse(text, &again) && plm_cpu_set_count(&again) > 20);
}

static void sets_are_joined_and_compared(void **state) {
  plm_cpu_set a = parse("0-3"), b = parse("3-5"), c = parse("64-65");
  char text[PLM_CPU_SET_TEXT];
  (void)state;
  assert_true(plm_cpu_set_overlaps(&a, &b));
  assert_false(plm_cpu_set_overlaps(&a, &c));
  plm_cpu_set_add(&a, &c);
  assert_string_equal(plm_cpu_set_text(&a, text), "0-3,64-65");
}

static void this_process_may_run_somewhere(void **state) {
  plm_cpu_set own;
  (void)state;
  plm_cpu_set_own(&own);
  assert_true(plm_cpu_set_count(&own) >= 1);
}

static const char *nodes_of(const char *cpus) {
  static char text[PLM_CPU_SET_TEXT];
  plm_cpu_set nodes, set = parse(cpus);
  plm_numa_nodes_of(scratch_path("root"), &set, &nodes);
  return plm_cpu_set_text(&nodes, text);
}

/* Two sockets of a machine with a node that has memory alone, as of an accelerator. */
static void processors_lie_on_numa_nodes(void **state) {
  static const char nodes[] = "root/sys/devices/system/node/";
  static const char *const lists[] = {"0-3,8-11\n", "4-7,12-15\n", "\n"};
  char name[120];
  (void)state;
  assert_string_equal(nodes_of("0"), ""); /* no such files */
  for (int i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%snode%d", nodes, 2 * i);
    assert_ok(plm_directory_make(scratch_path(name)));
    strcat(name, "/cpulist");
    scratch_write_text(name, lists[i]);
  }
  snprintf(name, sizeof name, "%sonline", nodes);
  scratch_write_text(name, "0,2,4\n");
  assert_string_equal(nodes_of("0"), "0");
  assert_string_equal(nodes_of("12-13"), "2");
  assert_string_equal(nodes_of("3-4"), "0,2");
  assert_string_equal(nodes_of("64"), "");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_are_read_and_written_in_the_kernels_notation),
      cmocka_unit_test(what_is_no_list_is_an_empty_set),
      cmocka_unit_test(a_long_list_is_cut_between_ranges),
      cmocka_unit_test(sets_are_joined_and_compared),
      cmocka_unit_test(this_process_may_run_somewhere),
      cmocka_unit_test(processors_lie_on_numa_nodes),
  };
  return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
