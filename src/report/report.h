/* report.h - a run directory as one self-contained HTML page: curves, rates, settings, what came out. No network, no
 * script needed. */
#ifndef PLM_REPORT_REPORT_H
#define PLM_REPORT_REPORT_H

#include "protlm/status.h"

/* Reads log.jsonl, env.json, config.yaml and the checkpoints of run_directory; replaces `path` (NULL:
 * <run>/report.html). */
PLM_CHECKED plm_status plm_report_write(const char *run_directory, const char *path);

#endif
