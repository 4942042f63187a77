/* status.h - how protlm reports failure.
 *
 * Every function that can fail returns a plm_status and leaves a message and a trace in thread-local storage. Library
 * code never prints and never exits: the command line prints the message and turns the status into the exit code of the
 * same number.
 *
 * Three kinds of failure, told apart by code:
 *   the input's fault        PLM_E_USAGE, PLM_E_INPUT, PLM_E_CHECKPOINT, PLM_E_NUMERIC
 *   the environment's fault  PLM_E_FAILURE, PLM_E_RESOURCE
 *   our bug                  PLM_E_BUG
 *
 * A message says what, where and why; a hint says what to do. It is written by the first function that knows the user's
 * words.
 */
#ifndef PROTLM_STATUS_H
#define PROTLM_STATUS_H

/* Values are process exit codes, except PLM_E_UNSUPPORTED, which a caller turns into another code or a fallback. */
typedef enum plm_status {
  PLM_OK = 0,
  PLM_E_FAILURE = 1,      /* something outside us failed and no other code fits */
  PLM_E_USAGE = 2,        /* an option, or a run directory that cannot be used as asked */
  PLM_E_INPUT = 3,        /* a data, model or config file of the user's is unreadable or wrong */
  PLM_E_CHECKPOINT = 4,   /* our own checkpoints are damaged and there is none to fall back on */
  PLM_E_NUMERIC = 5,      /* non-finite loss or gradients, k times in a row */
  PLM_E_RESOURCE = 6,     /* out of memory or disk, or an output path that cannot be made or written */
  PLM_E_BUG = 70,         /* a broken invariant of ours */
  PLM_STOPPED = 75,       /* stopped early, in good order: run the same command again */
  PLM_E_UNSUPPORTED = 100 /* this backend or build cannot do it; the message says why */
} plm_status;

#define PLM_CHECKED __attribute__((warn_unused_result))
#define PLM_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/* `code`, in a way that the compiler sees through: after `if (plm_fail(...) != PLM_OK)` it must not warn of outputs
 * that are not set. */
static inline plm_status plm_same_status(plm_status code, plm_status recorded) {
  (void)recorded;
  return code;
}

/* Start a failure: record code, place and message; the previous message of this thread is replaced. Returns `code`. */
#define plm_fail(code, ...) plm_same_status((code), plm_error_set((code), __FILE__, __LINE__, __func__, __VA_ARGS__))

/* Add what to do about the current failure ("use --batch-tokens 2K"). Returns `code`, so `return
 * plm_hint(plm_fail(...), ...)` reads well.
 */
plm_status plm_hint(plm_status code, const char *format, ...) PLM_PRINTF(2, 3);

/* Return from the calling function if `call` fails, adding this line to the trace. */
#define PLM_TRY(call)                               \
  do {                                              \
    plm_status plm_try_ = (call);                   \
    if (plm_try_ != PLM_OK) {                       \
      plm_error_push(__FILE__, __LINE__, __func__); \
      return plm_try_;                              \
    }                                               \
  } while (0)

/* The same for functions with a cleanup label: stores the failure in the local variable `status`, then jumps. */
#define PLM_TRY_GOTO(call, label)                   \
  do {                                              \
    status = (call);                                \
    if (status != PLM_OK) {                         \
      plm_error_push(__FILE__, __LINE__, __func__); \
      goto label;                                   \
    }                                               \
  } while (0)

/* A broken invariant is our bug, reported as such and never fatal to the process by itself. */
#define PLM_ASSERT(condition)                                                              \
  do {                                                                                     \
    if (!(condition)) return plm_fail(PLM_E_BUG, "internal check failed: %s", #condition); \
  } while (0)

plm_status plm_error_set(plm_status code, const char *file, int line, const char *function, const char *format, ...)
    PLM_PRINTF(5, 6);
void plm_error_push(const char *file, int line, const char *function);

/* Put words in front of the current message ("reading train.fasta: " + message). Returns `code`. */
plm_status plm_error_prefix(plm_status code, const char *format, ...) PLM_PRINTF(2, 3);

const char *plm_error_message(void); /* "" when none; valid until this thread's next failure */
const char *plm_error_hint(void);    /* "" when none */
const char *plm_error_trace(void);   /* one "file:line function" per line, innermost first */
void plm_error_clear(void);

/* Carry a failure from the thread where it happened to the thread that reports it. */
typedef struct plm_error_record {
  plm_status code;
  char message[4096];
  char hint[8192]; /* a shell line may name a path several times */
  char trace[1024];
} plm_error_record;
void plm_error_take(plm_status code, plm_error_record *record);
plm_status plm_error_give(const plm_error_record *record);

/* Name of a code for logs ("usage error"); process exit code for it (PLM_E_UNSUPPORTED becomes 1). */
const char *plm_status_name(plm_status code);
int plm_status_exit_code(plm_status code);

#endif
