/* Facts about the machine are sane. */
#include "support/unit.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/system.h"

static void the_machine_is_described(void **state) {
  (void)state;
  plm_system s;
  plm_system_read(&s);
  assert_true(strlen(s.hostname) > 0 && strlen(s.cpu) > 0 && strstr(s.os, "Linux") != NULL);
  assert_true(s.cpus >= 1 && s.cpus <= sysconf(_SC_NPROCESSORS_CONF));
  assert_true(s.memory > 1 << 20);
  assert_true(plm_peak_memory() > 1 << 20 && plm_peak_memory() <= (int64_t)1 << 50);
}

/* What a shell makes of the line is what this process was given. */
static void the_own_command_can_be_typed(void **state) {
  static const char *const words[] = {"--output=it's", "a b", "-q", "--", "-", "$HOME", "plain.fasta", ""};
  char *line, script[1200];
  (void)state;
  assert_ok(plm_own_command(&line));
  if (strstr(line, " given ") == NULL) { /* start again with the words, and look at them there */
    plm_free(line);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
      execl("/proc/self/exe", "again", "given", words[0], words[1], words[2], words[3], words[4], words[5], words[6],
            words[7], (char *)NULL);
      _exit(9);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    return;
  }
  snprintf(script, sizeof script, "again() { printf '[%%s]' \"$@\"; }; %s", line);
  plm_free(line);
  FILE *shell = popen(script, "r");
  char said[400] = "";
  assert_non_null(shell);
  assert_non_null(fgets(said, sizeof said, shell));
  pclose(shell);
  assert_string_equal(said, "[given][--output=it's][a b][-q][--][-][$HOME][plain.fasta][]");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_machine_is_described),
      cmocka_unit_test(the_own_command_can_be_typed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
