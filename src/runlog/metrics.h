/* metrics.h - what a run writes down for people and programs: log.jsonl, metrics.csv, TensorBoard events.
 *
 * Each step appears once, whatever was killed: at resume the files are rewritten without lines past the checkpoint, and
 * the removed ones go to log.replaced.jsonl. The fields: measures.h.
 */
#ifndef PLM_RUNLOG_METRICS_H
#define PLM_RUNLOG_METRICS_H

#include "runlog/measures.h"

typedef struct plm_metrics plm_metrics;

/* Open for appending in run_directory. from_step < 0: a new run, lines left by one that never came to a checkpoint are
 * moved away; otherwise those of steps > from_step. The new events file then starts with a SessionLog START at
 * from_step + 1. */
PLM_CHECKED plm_status plm_metrics_open(const char *run_directory, int64_t from_step, plm_metrics **ret_metrics);
PLM_CHECKED plm_status plm_metrics_write(plm_metrics *metrics, const plm_record *record); /* one line */
/* Call before a checkpoint is saved: the lines it counts on are then on disk too, whatever happens to the power. */
PLM_CHECKED plm_status plm_metrics_sync(plm_metrics *metrics);
PLM_CHECKED plm_status plm_metrics_close(plm_metrics *metrics); /* frees in any case; accepts NULL */

/* The lines of log.jsonl of steps <= up_to_step as an array, for trainer_state.json. New reference. */
PLM_CHECKED plm_status plm_metrics_history(const char *run_directory, int64_t up_to_step, json_t **ret_array);

#endif
