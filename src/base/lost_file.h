/* lost_file.h - what happens when a file that is read as memory is not there any more.
 *
 * Reading a page that its file no longer backs (cut short by somebody, a disk that fails, a file server that forgot it)
 * raises SIGBUS in the thread that reads: no status can be returned, nothing can go on, and the signal does not say
 * which file it was. This does.
 */
#ifndef PLM_BASE_LOST_FILE_H
#define PLM_BASE_LOST_FILE_H

/* Called inside the signal handler with the path as it was opened: only async-signal-safe calls. It is to end the
 * process; if it returns, the signal does. */
typedef void plm_lost_file_fn(const char *path);

/* From now on, not NULL; for an application's main, as it takes SIGBUS. What is no file of protlm's goes to the handler
 * that was there before. */
void plm_on_lost_file(plm_lost_file_fn *tell);

#endif
