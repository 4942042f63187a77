/* warnings.h - the warnings of the code under test, to be counted and read. */
#ifndef TESTS_SUPPORT_WARNINGS_H
#define TESTS_SUPPORT_WARNINGS_H

void warnings_listen(void); /* from now on, with none so far; the log goes nowhere else */
void warnings_forget(void);
void warnings_stop(void);

int warnings_count(void);
const char *warnings_text(void); /* all of them, a line each */

#endif
