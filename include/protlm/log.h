/* log.h - messages for a person, and where they go.
 *
 * The library speaks only through plm_log; where the words end up is the program's choice (plm_log_set_sink). Without a
 * sink they are dropped. A level says how often a line may appear: ERROR and WARN are worth reading always, INFO once
 * per event of a run, DEBUG with -v, TRACE with -vv (may be many lines a step). Thread-safe; a sink is called under a
 * lock.
 */
#ifndef PROTLM_LOG_H
#define PROTLM_LOG_H

#include "protlm/status.h"

typedef enum plm_log_level { PLM_LOG_ERROR, PLM_LOG_WARN, PLM_LOG_INFO, PLM_LOG_DEBUG, PLM_LOG_TRACE } plm_log_level;

typedef void plm_log_sink(void *user, plm_log_level level, const char *line); /* `line` has no newline */

void plm_log_set_sink(plm_log_sink *sink, void *user);
void plm_log_set_level(plm_log_level level); /* default PLM_LOG_INFO */
plm_log_level plm_log_get_level(void);

void plm_log(plm_log_level level, const char *format, ...) PLM_PRINTF(2, 3);
#define plm_warn(...) plm_log(PLM_LOG_WARN, __VA_ARGS__)
#define plm_info(...) plm_log(PLM_LOG_INFO, __VA_ARGS__)
#define plm_debug(...) plm_log(PLM_LOG_DEBUG, __VA_ARGS__)

#endif
