/* slurm.h - what the chapters of `protlm slurm` share.
 *
 *   slurm.c          the option table, and the order of things
 *   slurm_line.c     the words after `--`: checked with train's own table, quoted for the script
 *   slurm_cluster.c  what sinfo and scontrol say of this cluster
 *   slurm_preset.c   sites whose published documentation says what a job must look like
 *   slurm_plan.c     options, preset and cluster become one plan
 *   slurm_container.c  the lines that put each rank into a container
 *   slurm_drill.c    `-- drill`: a script that tries all this out on the cluster
 *   slurm_script.c   the plan as a script; its lower half is slurm_job.sh as it stands
 */
#ifndef PLM_APP_SLURM_H
#define PLM_APP_SLURM_H

#include "base/text.h"
#include "protlm/commands.h"

/* As parsed; the rows are in slurm.c. */
typedef struct plm_slurm_options {
  /* Where */
  const char *preset;
  int64_t nodes, gpus_per_node;
  bool cpu;
  int64_t ranks_per_node, cpus_per_task;
  bool exclusive;
  const char *time, *account, *partition;
  bool discover;
  /* How ranks are started */
  const char *launcher, *mpi;
  plm_string_list launcher_option, module;
  const char *program;
  /* Container */
  const char *container, *container_engine;
  plm_string_list bind;
  /* Job */
  const char *job_name, *output, *array;
  plm_string_list sbatch_option;
  /* Going on */
  int64_t max_restarts;
  double signal_ahead;
  /* What to do */
  bool submit;
  plm_string_list line; /* the words after -- */
} plm_slurm_options;

/* ---- slurm_line.c ---- */
typedef struct plm_slurm_line {
  const plm_command *command; /* train or eval */
  const plm_option_table *table;
  plm_string_list words;     /* as typed, without the command's name; borrowed */
  plm_option_values *values; /* as the command will read them, in the first task of an array */
  const char *output_dir;    /* as typed, in an array with %a; NULL: the command has none */
  char *output_dir_memory;
  bool is_array;
  bool gives_output_dir, gives_time_limit; /* on this line, not in the environment or a file */
} plm_slurm_line;

/* Read the words by the option table of their command. PLM_E_USAGE: what the command itself would refuse as mistyped,
 * and what cannot work in a queue. Destroy in any case. */
PLM_CHECKED plm_status plm_slurm_line_read(const plm_slurm_options *options, plm_slurm_line *ret_line);
void plm_slurm_line_destroy(plm_slurm_line *line);

/* `word` as one word of bash; in an array %a becomes the task's number. */
void plm_slurm_append_word(plm_text *out, const char *word, bool is_array);

/* ---- slurm_cluster.c ---- */
enum { PLM_SLURM_NAME = 128, PLM_SLURM_PATH = 4096 };
typedef struct plm_slurm_cluster {
  bool is_known;                  /* sinfo has answered */
  char partition[PLM_SLURM_NAME]; /* the one asked for, else the default one; "" */
  double max_time;                /* of a job there, seconds; 0: no limit, or not known */
  int cpus, sockets, gpus;        /* of a node there; 0: not known */
  char mpi[PLM_SLURM_NAME];       /* what srun starts where --mpi is not given: "pmix"; "" */
} plm_slurm_cluster;

/* A few seconds at most. Nothing fails: what is not known is not. */
void plm_slurm_cluster_ask(const char *partition, plm_slurm_cluster *ret_cluster);

/* sinfo's lines, of the format that is asked for (slurm_cluster.c); for tests. */
void plm_slurm_cluster_read(const char *text, const char *partition, plm_slurm_cluster *ret_cluster);

/* ---- slurm_preset.c ---- */
typedef struct plm_slurm_preset {
  const char *name;
  const char *source;         /* for the script's comment: what was read, and when; NULL: no site */
  const char *partition;      /* NULL: the cluster's */
  const char *suffix;         /* that accounts must end in */
  int gpus, cores_per_gpu;    /* of a node; 0: as found or told */
  const char *mask;           /* of cores, a rank a GPU: the byte of a whole rank ("ff"); NULL: no binding line */
  const char *gpu_option;     /* of sbatch and srun: "--gres=gpu:" */
  const char *container_flag; /* of apptainer */
  const char *modules[5], *container_modules[5]; /* to load; NULL at the end */
  bool needs_account, is_slingshot;
  struct {
    const char *partition;
    int hours;
  } longest[4];
} plm_slurm_preset;

const plm_slurm_preset *plm_slurm_preset_find(const char *name); /* NULL: no name, no preset */

/* "mask_cpu:ff000000000000,..." : the cores next to each of the 8 GPUs of such a node, in the order of the GPUs. */
void plm_slurm_append_mask(plm_text *out, const char *byte);

/* ---- slurm_plan.c ---- */
typedef enum plm_slurm_engine { PLM_SLURM_NO_CONTAINER, PLM_SLURM_APPTAINER, PLM_SLURM_CHARLIECLOUD } plm_slurm_engine;

typedef struct plm_slurm_plan {
  const plm_slurm_options *options;
  const plm_slurm_line *line;
  const plm_slurm_cluster *cluster;
  const plm_slurm_preset *preset;                          /* NULL: none */
  int nodes, ranks_per_node, cpus_per_task, gpus_per_node; /* cpus_per_task 0: the script divides what the node gives */
  bool is_whole_node;
  double time;
  char account[PLM_SLURM_NAME], partition[PLM_SLURM_NAME], job_name[PLM_SLURM_NAME];
  const char *mpi; /* NULL: srun's own default */
  plm_slurm_engine engine;
  char program[PLM_SLURM_PATH];
  plm_text says; /* what was assumed, a line each */
} plm_slurm_plan;

/* `values`: of the options. Destroy in any case. PLM_E_USAGE: what contradicts itself, or what the site refuses. */
PLM_CHECKED plm_status plm_slurm_plan_make(const plm_option_values *values, const plm_slurm_line *line,
                                           const plm_slurm_cluster *cluster, const char *own_program,
                                           plm_slurm_plan *ret_plan);
void plm_slurm_plan_destroy(plm_slurm_plan *plan);

/* ---- slurm_container.c ---- */
/* Settings, and the array `container` that stands in front of the command; nothing without --container. */
void plm_slurm_append_container(const plm_slurm_plan *plan, plm_text *out);

/* ---- slurm_script.c ---- */
void plm_slurm_script_write(const plm_slurm_plan *plan, plm_text *out);

/* ---- slurm_drill.c ---- */
bool plm_slurm_is_drill(const plm_slurm_options *options);
PLM_CHECKED plm_status plm_slurm_drill_write(const char *program, plm_text *out);

#endif
