/* slurm_drill.h - `protlm slurm drill`: does this cluster survive what clusters do? A short run of the user's own command
 * line is disturbed in each situation, on the real cluster, and held against the same run left alone.
 *
 *   protlm slurm drill [options of protlm slurm] [--situations NAMES] [--drill-dir DIR] -- train ...
 *
 * Each situation is one job of protlm slurm's own script, in DIR/<situation>/, and one job that disturbs it from outside
 * as the user may: a user cannot take a node down, so a lost node is SIGKILL of every rank of it by a second step
 * (`srun --jobid=J --overlap -w NODE`), and a full disk is the file layer's own fault. The verdict is made of what is on
 * disk afterwards: the last line of the job's journal, its starts, `stopped`, and the bytes of final/.
 */
#ifndef PLM_APP_SLURM_DRILL_H
#define PLM_APP_SLURM_DRILL_H

#include "app/slurm.h"

/* The rows are those of protlm slurm, and behind them: */
typedef struct plm_slurm_drill_options {
  plm_slurm_options slurm;
  const char *situations; /* --situations: names separated by commas; default: all */
  const char *drill_dir;  /* --drill-dir: where the runs go, seen by all nodes; must be new; default: drill-<date> */
  double time_limit;      /* --drill-time: the whole drill, after which it cancels its jobs; default 30m */
} plm_slurm_drill_options;

/* What is done to a run, and what must come of it. One row of a table; a drill walks it. */
typedef struct plm_slurm_situation {
  const char *name;  /* "rank-killed" */
  const char *story; /* for the verdict: "one rank is killed at a step" */
  /* As text of bash: run beside the job once `at_step` is logged, with $job, $node (not the batch node), $batch_node and
   * $run set. NULL: nothing from outside. */
  const char *disturb;
  const char *environment; /* of the run: what makes the file layer fail, or the run crash at a step; NULL */
  int at_step;
  int starts;    /* that the job makes, the first included */
  int exit_code; /* of its last one */
  bool same_end; /* final/ has the bytes of the run that was left alone */
} plm_slurm_situation;

/* rank-killed      KILL to one rank                                  starts 2, exit 0, same end
 * node-lost        KILL to every rank of a node without the script   starts 2, exit 0, same end
 * batch-node-lost  the same on the node with the script              starts 2, exit 0, same end
 * crash-loop       the run fails at the same step in every start     starts 2, exit 1: the second came no farther
 * graceful-stop    scancel --batch --signal=USR1                     starts 2, exit 0, same end
 * full-disk        the save after `at_step` finds no room            starts 1, exit 6, the checkpoint before it is whole
 */
const plm_slurm_situation *plm_slurm_situations(int *ret_count);

/* A line a situation: name, passed or not, seconds from the disturbance to the next step, steps made twice, and where it
 * failed what was expected and found; last the sum. PLM_E_FAILURE where one did not pass. */
PLM_CHECKED plm_status plm_slurm_drill_judge(const char *drill_dir, const plm_output *output);

#endif
