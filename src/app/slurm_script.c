/* slurm_script.c - the script of a plan, from top to bottom. What a person may want to change stands first. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "app/slurm.h"
#include "base/alloc.h"
#include "base/file.h"
#include "base/system.h"

/* What follows the settings, as it stands in slurm_job.sh. */
static const char job_body[] =
#include "app/slurm_job.inc"
    ;

static bool is_train(const plm_slurm_plan *plan) { return plan->line->output_dir != NULL; }
static bool is_site(const plm_slurm_plan *plan) { return plan->preset != NULL && plan->preset->source != NULL; }

/* ---- comments ---- */

/* Each line of `text` behind `mark`. */
static void append_lines(plm_text *out, const char *mark, const char *text) {
  for (const char *rest = text; *rest != '\0'; rest += strcspn(rest, "\n"), rest += *rest == '\n')
    plm_text_printf(out, "%s%.*s\n", mark, (int)strcspn(rest, "\n"), rest);
}

/* A command line in a comment; broken before an option where it gets long. */
static void append_folded(plm_text *out, const char *line) {
  enum { LONG = 100 };
  bool quoted = false;
  int column = 0;
  for (const char *c = line; *c != '\0'; c++, column++) {
    if (*c == '\'') quoted = !quoted;
    if (!quoted && column > LONG && strncmp(c, " -", 2) == 0) {
      plm_text_append(out, " \\\n#     ");
      column = 0;
    }
    plm_text_append_bytes(out, c, 1);
  }
}

/* The command that made this, however the program was called. */
static void append_origin(plm_text *out) {
  char *line;
  const plm_status status = plm_own_command(&line);
  if (status != PLM_OK) {
    out->status = status;
    return;
  }
  const char *words = strstr(line, " slurm ");
  if (words != NULL) {
    plm_text_append(out, "#   protlm");
    append_folded(out, words);
    plm_text_append(out, "\n#\n");
  }
  plm_free(line);
}

static void append_top(const plm_slurm_plan *plan, plm_text *out) {
  const bool login = plan->options->module.count > 0 || is_site(plan);
  plm_text_printf(out, "#!/bin/bash%s\n", login ? " --login" : "");
  plm_text_printf(out, "# protlm %s on %d x %d ranks, a batch script for Slurm, made by protlm " PLM_VERSION ":\n#\n",
                  plan->line->command->name, plan->nodes, plan->ranks_per_node);
  append_origin(out);
  plm_text_append(out, "# Submit it from the directory from which its paths lead:  sbatch FILE\n");
  if (is_train(plan))
    plm_text_append(
        out,
        "# It saves and stops ahead of its time limit and starts itself again until the run is done; its output says why.\n"
        "#   save and stop now, start again:    scancel --batch --signal=USR1 JOB\n"
        "#   save and stop now, for good:       touch DIR/no-requeue first (DIR: --output-dir); remove it to go on\n"
        "#   end at once:                       scancel JOB\n");
  if (is_site(plan)) append_lines(out, "# ", plan->preset->source);
  if (plan->says.length > 0) {
    plm_text_append(out, "# Not told, so assumed:\n");
    append_lines(out, "#   ", plan->says.data);
  }
  plm_text_append(out, "\n");
}

/* ---- #SBATCH ---- */

/* As sbatch reads it: a blank or a # ends a value that is not quoted. */
static void append_sbatch(plm_text *out, const char *option, const char *value) {
  const bool quoted = value[strcspn(value, " \t#'\"\\")] != '\0';
  plm_text_printf(out, "#SBATCH %s%s", option, quoted ? "\"" : "");
  for (const char *c = value; *c != '\0'; c++) {
    if (quoted && (*c == '"' || *c == '\\')) plm_text_append(out, "\\");
    plm_text_append_bytes(out, c, 1);
  }
  plm_text_append(out, quoted ? "\"\n" : "\n");
}

static void append_time(const plm_slurm_plan *plan, plm_text *out) {
  const long long seconds = llround(plan->time);
  plm_text_printf(out, "#SBATCH --time=%lld-%02lld:%02lld:%02lld\n", seconds / 86400, seconds / 3600 % 24,
                  seconds / 60 % 60, seconds % 60);
}

/* Setonix wants whole packs of cores with GPUs: no cores, tasks or memory there. */
static void append_resources(const plm_slurm_plan *plan, plm_text *out) {
  const bool packs = is_site(plan) && strcmp(plan->preset->name, "setonix") == 0;
  const char *gpus = plan->preset != NULL ? plan->preset->gpu_option : "--gpus-per-node=";
  plm_text_printf(out, "#SBATCH --nodes=%d\n", plan->nodes);
  if (plan->is_whole_node) plm_text_append(out, "#SBATCH --exclusive\n");
  if (packs) {
    if (!plan->is_whole_node) plm_text_printf(out, "#SBATCH %s%d\n", gpus, plan->gpus_per_node);
    return;
  }
  if (plan->gpus_per_node > 0) plm_text_printf(out, "#SBATCH %s%d\n", gpus, plan->gpus_per_node);
  if (is_site(plan) && plan->is_whole_node) return;
  plm_text_printf(out, "#SBATCH --ntasks-per-node=%d\n", plan->ranks_per_node);
  if (plan->cpus_per_task > 0) plm_text_printf(out, "#SBATCH --cpus-per-task=%d\n", plan->cpus_per_task);
  if (plan->is_whole_node) plm_text_append(out, "#SBATCH --mem=0\n");
}

static void append_requests(const plm_slurm_plan *plan, plm_text *out) {
  const plm_slurm_options *o = plan->options;
  const bool is_array = o->array != NULL;
  append_sbatch(out, "--job-name=", plan->job_name);
  if (*plan->account != '\0') append_sbatch(out, "--account=", plan->account);
  if (*plan->partition != '\0') append_sbatch(out, "--partition=", plan->partition);
  append_resources(plan, out);
  append_time(plan, out);
  if (is_array) append_sbatch(out, "--array=", o->array);
  append_sbatch(out, "--output=", o->output != NULL ? o->output : is_array ? "%x-%A_%a.out" : "%x-%j.out");
  plm_text_append(out, "#SBATCH --open-mode=append\n");
  if (is_train(plan))
    plm_text_printf(out, "#SBATCH --requeue\n#SBATCH --signal=B:USR1@%lld\n", llround(o->signal_ahead));
  else
    plm_text_append(out, "#SBATCH --no-requeue\n");
  for (size_t i = 0; i < o->sbatch_option.count; i++) {
    const char *word = o->sbatch_option.items[i];
    const size_t name = strcspn(word, "=");
    char option[PLM_SLURM_NAME];
    snprintf(option, sizeof option, "%.*s", (int)(name + (word[name] == '=')), word);
    append_sbatch(out, option, word + name + (word[name] == '='));
  }
  plm_text_append(out, "\n");
}

/* ---- settings ---- */

static void append_guard(const plm_slurm_plan *plan, plm_text *out) {
  plm_text_append(out,
                  "if [ -z \"${SLURM_JOB_ID:-}\" ]; then\n"
                  "  echo \"$0 is a batch script of Slurm, and this is no job of Slurm's. Try: sbatch $0\" >&2\n"
                  "  exit 2\n"
                  "fi\n");
  if (is_train(plan))
    plm_text_append(
        out, "asked=0; trap 'asked=1' USR1 # \"save and stop\", which may come before there is anything to stop\n");
  plm_text_append(out, "\n");
}

static void append_module(plm_text *out, const char *name) {
  plm_text_append(out, "module load ");
  plm_slurm_append_word(out, name, false);
  plm_text_append(out, " || exit 1\n");
}

/* Those given, instead of the preset's. */
static void append_modules(const plm_slurm_plan *plan, plm_text *out) {
  const plm_string_list *given = &plan->options->module;
  if (given->count == 0 && !is_site(plan)) return;
  for (size_t i = 0; i < given->count; i++) append_module(out, given->items[i]);
  const char *const *names = NULL;
  if (given->count == 0)
    names = plan->engine != PLM_SLURM_NO_CONTAINER ? plan->preset->container_modules : plan->preset->modules;
  for (; names != NULL && *names != NULL; names++) append_module(out, *names);
  plm_text_append(out, "\n");
}

/* RCCL through the site's Slingshot network; what the user has set stays. */
static void append_slingshot(plm_text *out) {
  static const char *const variables[][2] = {
      {"NCCL_NET", "AWS Libfabric"},         {"NCCL_SOCKET_IFNAME", "hsn"},
      {"FI_CXI_DISABLE_HOST_REGISTER", "1"}, {"FI_MR_CACHE_MONITOR", "userfaultfd"},
      {"FI_CXI_DEFAULT_CQ_SIZE", "131072"},  {"FI_CXI_RDZV_PROTO", "alt_read"},
      {"FI_CXI_RDZV_THRESHOLD", "0"},        {"FI_CXI_RDZV_GET_MIN", "0"},
      {"FI_CXI_RDZV_EAGER_SIZE", "0"}};
  plm_text_append(out, "# The network between GPUs (Slingshot); what you have set yourself stays as it is.\n");
  for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
    plm_text_printf(out, "export %s=\"${%s-%s}\"\n", variables[i][0], variables[i][0], variables[i][1]);
  plm_text_append(out, "\n");
}

static void append_settings(const plm_slurm_plan *plan, plm_text *out) {
  if (is_train(plan)) {
    plm_text_append(out, "output_dir=");
    plm_slurm_append_word(out, plan->line->output_dir, plan->line->is_array);
    plm_text_printf(out, "\nmax_restarts=%lld # starts after the first; never one without progress\n",
                    (long long)plan->options->max_restarts);
    plm_text_printf(out, "pass_time_limit=%s # yes: tell the run what is left of the job's time\n",
                    plan->line->gives_time_limit ? "no" : "yes");
  }
  plm_text_printf(out, "ranks_per_node=%d\nnodes=${SLURM_JOB_NUM_NODES:-%d}\nranks=$((nodes * ranks_per_node))\n",
                  plan->ranks_per_node, plan->nodes);
  if (strcmp(plan->options->launcher, "srun") == 0 && plan->cpus_per_task > 0)
    plm_text_printf(out, "cpus_per_task=%d\n", plan->cpus_per_task);
  else if (strcmp(plan->options->launcher, "srun") == 0)
    plm_text_append(out,
                    "cpus_per_task=$((${SLURM_CPUS_ON_NODE:-1} / ranks_per_node)) # the whole node, shared out\n"
                    "[ \"$cpus_per_task\" -gt 0 ] || cpus_per_task=1\n");
  plm_text_append(out, "\n");
}

/* ---- what is run ---- */

static void append_launcher(const plm_slurm_plan *plan, plm_text *out) {
  const plm_slurm_options *o = plan->options;
  if (strcmp(o->launcher, "mpirun") == 0) {
    plm_text_append(
        out,
        "# All cores to all ranks of a node, which divide them: mpirun's default would bind each rank to one or two.\n"
        "launcher=(mpirun --bind-to none -np \"$ranks\"");
  } else {
    plm_text_append(
        out,
        "# srun passes neither -c nor anything else on by itself, so all of it stands here. One rank that dies ends all; the\n"
        "# variable says the same where you take the option out, and to the ranks, which cannot see the option.\n"
        "export SLURM_KILL_BAD_EXIT=1\n"
        "launcher=(srun --kill-on-bad-exit=1 -N \"$nodes\" -n \"$ranks\" --ntasks-per-node=\"$ranks_per_node\" -c \"$cpus_per_task\"");
    if (plan->gpus_per_node > 0)
      plm_text_printf(out, " %s%d",
                      plan->preset != NULL ? plan->preset->gpu_option : "--gpus-per-node=", plan->gpus_per_node);
    if (plan->mpi != NULL) plm_text_printf(out, " --mpi=%s", plan->mpi);
    if (is_site(plan) && plan->is_whole_node && plan->ranks_per_node == plan->preset->gpus) {
      plm_text_append(out, "\n  \"--cpu-bind=");
      plm_slurm_append_mask(out, plan->preset->mask);
      plm_text_append(out, "\"");
    }
  }
  for (size_t i = 0; i < o->launcher_option.count; i++) {
    plm_text_append(out, " ");
    plm_slurm_append_word(out, o->launcher_option.items[i], false);
  }
  plm_text_append(out, ")\n\n");
}

/* A line an option. */
static void append_command(const plm_slurm_plan *plan, plm_text *out) {
  const plm_slurm_line *line = plan->line;
  plm_text_append(out, "command=(");
  if (plan->engine != PLM_SLURM_NO_CONTAINER) plm_text_append(out, "\"${container[@]}\" ");
  plm_slurm_append_word(out, plan->program, false);
  plm_text_printf(out, " %s", line->command->name);
  for (size_t i = 0; i < line->words.count; i++) {
    const char *word = line->words.items[i];
    plm_text_append(out, word[0] == '-' && word[1] != '\0' ? "\n  " : " ");
    plm_slurm_append_word(out, word, line->is_array);
  }
  if (is_train(plan) && !line->gives_output_dir) plm_text_append(out, "\n  --output-dir \"$output_dir\"");
  plm_text_append(out, ")\n");
}

void plm_slurm_script_write(const plm_slurm_plan *plan, plm_text *out) {
  append_top(plan, out);
  append_requests(plan, out);
  append_guard(plan, out);
  append_modules(plan, out);
  if (plan->preset != NULL && plan->preset->is_slingshot) append_slingshot(out);
  append_settings(plan, out);
  append_launcher(plan, out);
  plm_slurm_append_container(plan, out);
  append_command(plan, out);
  if (is_train(plan))
    plm_text_append(out, job_body);
  else
    plm_text_append(out,
                    "\nexport SLURM_EXPORT_ENV=ALL # what is exported above reaches the ranks\n"
                    "\"${launcher[@]}\" \"${command[@]}\"\n");
}
