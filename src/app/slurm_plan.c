/* slurm_plan.c - what was told, what the preset says, what the cluster says, in this order; what is then still open is
 * assumed, and the script says so in a comment. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/slurm.h"
#include "base/alloc.h"
#include "base/file.h"
#include "kernels/backend.h"
#include "protlm/log.h"

enum { CPUS_OF_A_GPU = 8, SECONDS_AN_HOUR = 3600, HOURS_OF_A_DAY = 24 };

static bool is_site(const plm_slurm_preset *preset) { return preset != NULL && preset->source != NULL; }

/* ---- what runs where ---- */

/* The program that will run: this one, unless another is named or lies in a container. */
static bool computes_on_gpus(const plm_slurm_options *options) {
  if (options->program != NULL || options->container != NULL) return true;
  for (int i = 0; plm_backend_at(i) != NULL; i++)
    if (strcmp(plm_backend_at(i)->name, "cpu") != 0) return true;
  return false;
}

/* Found, not told: only if they would be used. */
static int found_gpus(plm_slurm_plan *plan) {
  const int gpus = plan->cluster->gpus;
  if (gpus == 0 || computes_on_gpus(plan->options)) return gpus;
  plm_text_printf(&plan->says, "no GPUs, of which a node here has %d: this protlm computes on CPUs alone\n", gpus);
  return 0;
}

static plm_status choose_gpus(plm_slurm_plan *plan) {
  const plm_slurm_options *o = plan->options;
  const plm_slurm_preset *preset = plan->preset;
  const bool cpu = o->cpu || (preset != NULL && strcmp(preset->name, "cpu") == 0);
  if (cpu && o->gpus_per_node > 0)
    return plm_hint(
        plm_fail(PLM_E_USAGE, "--cpu and --gpus-per-node %lld contradict each other", (long long)o->gpus_per_node),
        "give one of them");
  if (o->cpu && preset != NULL && strcmp(preset->name, "cpu") != 0)
    return plm_hint(plm_fail(PLM_E_USAGE, "--cpu and --preset %s contradict each other", preset->name),
                    "give one of them");
  if (cpu) return PLM_OK;
  plan->gpus_per_node = (int)o->gpus_per_node;
  if (plan->gpus_per_node == 0 && preset != NULL) plan->gpus_per_node = preset->gpus;
  if (plan->gpus_per_node == 0) plan->gpus_per_node = preset != NULL ? plan->cluster->gpus : found_gpus(plan);
  if (plan->gpus_per_node > 0 && !computes_on_gpus(o))
    plm_warn("this protlm computes on CPUs alone: the job would hold GPUs and not use them");
  if (is_site(preset) && plan->gpus_per_node > preset->gpus)
    return plm_fail(PLM_E_USAGE, "--gpus-per-node %d: a node of %s has %d", plan->gpus_per_node, preset->name,
                    preset->gpus);
  if (plan->gpus_per_node > 0 || preset == NULL) return PLM_OK;
  return plm_hint(
      plm_fail(PLM_E_USAGE, "--preset %s: how many GPUs has a node? sinfo does not tell here", preset->name),
      "--gpus-per-node 4");
}

static void choose_ranks(plm_slurm_plan *plan) {
  const plm_slurm_cluster *c = plan->cluster;
  plan->nodes = plan->options->nodes > 0 ? (int)plan->options->nodes : 1;
  plan->ranks_per_node = (int)plan->options->ranks_per_node;
  if (plan->ranks_per_node > 0) return;
  plan->ranks_per_node = plan->gpus_per_node > 0 ? plan->gpus_per_node : c->sockets > 0 ? c->sockets : 1;
  if (plan->gpus_per_node > 0)
    plm_text_printf(&plan->says, "a rank a GPU\n");
  else if (c->sockets > 0)
    plm_text_printf(&plan->says, "a rank a socket, of which sinfo says that a node has %d\n", c->sockets);
  else
    plm_text_printf(&plan->says,
                    "one rank a node with all its cores; with several sockets, a rank for each is "
                    "faster: --ranks-per-node 2\n");
}

/* Whole nodes, and the cores of a rank. */
static void choose_cores(plm_slurm_plan *plan, const plm_option_values *values) {
  const plm_slurm_options *o = plan->options;
  const plm_slurm_cluster *c = plan->cluster;
  const plm_slurm_preset *preset = plan->preset;
  plan->cpus_per_task = (int)o->cpus_per_task;
  if (plan->gpus_per_node > 0) {
    const int all = is_site(preset) ? preset->gpus : c->gpus;
    plan->is_whole_node = plan->gpus_per_node == all;
  } else {
    plan->is_whole_node = plan->cpus_per_task == 0;
  }
  if (plm_option_given(values, "exclusive")) plan->is_whole_node = o->exclusive;
  if (plan->cpus_per_task > 0) return;
  if (is_site(preset)) {
    plan->cpus_per_task = preset->cores_per_gpu * plan->gpus_per_node / plan->ranks_per_node;
  } else if (plan->gpus_per_node > 0) {
    const int node = c->cpus > 0 && c->gpus > 0 ? c->cpus / c->gpus : CPUS_OF_A_GPU;
    plan->cpus_per_task = node * plan->gpus_per_node / plan->ranks_per_node;
    plm_text_printf(&plan->says,
                    c->cpus > 0 && c->gpus > 0 ? "%d CPUs for each GPU, its share of the node's\n"
                                               : "%d CPUs for each GPU; set --cpus-per-task\n",
                    node);
  } else if (!plan->is_whole_node) {
    plan->cpus_per_task = 1;
    plm_text_printf(&plan->says, "one CPU a rank, as nodes are shared; set --cpus-per-task\n");
  } else {
    return;
  }
  if (plan->cpus_per_task < 1) plan->cpus_per_task = 1;
}

/* ---- names ---- */

static plm_status choose_account(plm_slurm_plan *plan) {
  const char *account = plan->options->account, *suffix = plan->preset != NULL ? plan->preset->suffix : "";
  if (account == NULL && plan->preset != NULL && plan->preset->needs_account)
    return plm_hint(plm_fail(PLM_E_USAGE, "--preset %s: a job there needs an account", plan->preset->name),
                    "--account PROJECT");
  if (account == NULL) return PLM_OK;
  const size_t length = strlen(account), end = strlen(suffix);
  const bool has_suffix = length >= end && strcmp(account + length - end, suffix) == 0;
  if (!has_suffix) plm_text_printf(&plan->says, "accounts for its GPUs end in %s\n", suffix);
  snprintf(plan->account, sizeof plan->account, "%s%s", account, has_suffix ? "" : suffix);
  return PLM_OK;
}

static void choose_partition(plm_slurm_plan *plan) {
  const char *name = plan->options->partition;
  if (name == NULL && plan->preset != NULL) name = plan->preset->partition;
  if (name != NULL)
    snprintf(plan->partition, sizeof plan->partition, "%s", name);
  else if (plan->cluster->is_known)
    plm_text_printf(&plan->says, "no partition given: it goes to the default one, %s\n", plan->cluster->partition);
}

/* runs/esm2-lr3 : esm2-lr3; runs/%a : runs. */
static void choose_job_name(plm_slurm_plan *plan) {
  char *name = plan->job_name;
  const char *given = plan->options->job_name;
  char path[PLM_SLURM_PATH] = "";
  snprintf(name, PLM_SLURM_NAME, "%s", given != NULL ? given : plan->line->command->name);
  if (given != NULL || plan->line->output_dir == NULL) return;
  snprintf(path, sizeof path, "%s", plan->line->output_dir);
  for (char *end; *path != '\0'; *end = '\0') {
    while (*path != '\0' && path[strlen(path) - 1] == '/') path[strlen(path) - 1] = '\0';
    end = strrchr(path, '/');
    const char *last = end != NULL ? end + 1 : path;
    if (*last != '\0' && strstr(last, "%a") == NULL && strcmp(last, ".") != 0 && strcmp(last, "..") != 0) {
      snprintf(name, PLM_SLURM_NAME, "%.*s", PLM_SLURM_NAME - 1, last);
      return;
    }
    if (end == NULL) return;
  }
}

/* ---- time ---- */

static double longest_of_site(const plm_slurm_plan *plan) {
  for (size_t i = 0; is_site(plan->preset) && i < 4 && plan->preset->longest[i].partition != NULL; i++)
    if (strcmp(plan->preset->longest[i].partition, plan->partition) == 0)
      return (double)plan->preset->longest[i].hours * SECONDS_AN_HOUR;
  return plan->cluster->max_time;
}

static plm_status check_time(const plm_slurm_plan *plan, double longest) {
  char words[2][PLM_NUMBER_TEXT];
  const double ahead = plan->options->signal_ahead;
  if (longest > 0 && plan->time > longest)
    return plm_hint(plm_fail(PLM_E_USAGE, "--time %s: a job in partition %s has at most %s", plan->options->time,
                             *plan->partition != '\0' ? plan->partition : plan->cluster->partition,
                             plm_duration_text(longest, words[0])),
                    "the job starts itself again and goes on: --time %s", plm_duration_text(longest, words[1]));
  if (plan->time <= ahead)
    return plm_hint(plm_fail(PLM_E_USAGE, "a job of %s would be told to stop, %s ahead of its end, before it has begun",
                             plm_duration_text(plan->time, words[0]), plm_duration_text(ahead, words[1])),
                    "more --time, or less --signal-ahead");
  if (plan->time < 2 * ahead)
    plm_warn(
        "a job of %s that stops %s ahead of its end (up to a minute more, says Slurm) trains for little of its time",
        plm_duration_text(plan->time, words[0]), plm_duration_text(ahead, words[1]));
  return PLM_OK;
}

static plm_status choose_time(plm_slurm_plan *plan) {
  const char *text = plan->options->time;
  const double longest = longest_of_site(plan);
  char subject[PLM_SLURM_NAME], words[PLM_NUMBER_TEXT];
  if (text == NULL) {
    plan->time = HOURS_OF_A_DAY * SECONDS_AN_HOUR;
    if (longest > 0 && longest < plan->time) plan->time = longest;
    plm_text_printf(&plan->says, "no time given: %s%s\n", plm_duration_text(plan->time, words),
                    longest > 0 ? "" : ", as the longest that the partition allows is not known");
    return check_time(plan, longest);
  }
  if (strspn(text, "0123456789") == strlen(text))
    return plm_hint(plm_fail(PLM_E_USAGE, "--time %s: minutes, as Slurm reads it, or seconds, as protlm does?", text),
                    "write --time %sm for minutes, or 24h, or 1-00:00:00", text);
  snprintf(subject, sizeof subject, "--time %.100s", text);
  PLM_TRY(plm_option_duration_read(text, subject, &plan->time));
  return check_time(plan, longest);
}

/* ---- how it is started ---- */

static void choose_mpi(plm_slurm_plan *plan) {
  const char *given = plan->options->mpi, *found = plan->cluster->mpi;
  if (strcmp(plan->options->launcher, "srun") != 0 || is_site(plan->preset)) {
    plan->mpi = given != NULL && strcmp(given, "default") != 0 ? given : NULL;
  } else if (given != NULL) {
    plan->mpi = strcmp(given, "default") != 0 ? given : NULL;
  } else if (*found != '\0' && strcmp(found, "none") != 0) {
    plm_text_printf(&plan->says, "srun's own way to start MPI here: %s\n", found);
  } else {
    plan->mpi = "pmix";
    plm_text_printf(&plan->says,
                    "--mpi=pmix for Open MPI; MPICH wants --mpi pmi2; `srun --mpi=list` shows what there is\n");
  }
}

static bool ends_in(const char *text, const char *end) {
  const size_t length = strlen(text), bytes = strlen(end);
  return length >= bytes && strcmp(text + length - bytes, end) == 0;
}

static void choose_engine(plm_slurm_plan *plan) {
  const char *image = plan->options->container, *engine = plan->options->container_engine;
  if (image == NULL) return;
  bool apptainer = strstr(image, "://") != NULL || ends_in(image, ".sif");
  if (!apptainer) apptainer = plm_file_exists(image) && !plm_file_is_directory(image);
  if (strcmp(engine, "auto") != 0) apptainer = strcmp(engine, "apptainer") == 0;
  plan->engine = apptainer ? PLM_SLURM_APPTAINER : PLM_SLURM_CHARLIECLOUD;
}

/* In a container, the one that is there. */
static void choose_program(plm_slurm_plan *plan, const char *own_program) {
  const char *given = plan->options->program;
  char *path = NULL;
  if (given == NULL && plan->engine != PLM_SLURM_NO_CONTAINER) given = "protlm";
  char whole[PLM_SLURM_PATH];
  if (given == NULL && own_program != NULL) path = realpath(own_program, whole);
  snprintf(plan->program, sizeof plan->program, "%s", given != NULL ? given : path != NULL ? path : "protlm");
}

/* The script does not hold what the environment adds to its words. */
static void tell_environment(plm_slurm_plan *plan) {
  const plm_option_values *values = plan->line->values;
  bool any = false;
  for (size_t i = 0; i < values->table->count; i++) {
    const char *name = values->table->options[i].name;
    if (values->source[i] != PLM_FROM_ENVIRONMENT || strcmp(name, "output-dir") == 0) continue;
    plm_text_printf(&plan->says, "%s--%s",
                    any ? ", " : "from your environment, which sbatch hands on unless it is told not to: ", name);
    any = true;
  }
  if (any) plm_text_append(&plan->says, "\n");
}

/* A job whose output cannot be opened dies without a word. */
static plm_status check_output(const plm_slurm_options *options) {
  char *directory = NULL;
  if (options->output == NULL || strchr(options->output, '/') == NULL) return PLM_OK;
  PLM_TRY(plm_path_parent(options->output, &directory));
  if (strchr(directory, '%') == NULL && !plm_file_is_directory(directory)) {
    char word[PLM_SHELL_WORD];
    plm_warn("--output %s: Slurm makes no directories, and a job without an output dies without a word: `mkdir -p %s`",
             options->output, plm_shell_word(directory, word));
  }
  plm_free(directory);
  return PLM_OK;
}

static void check_image(const plm_slurm_options *options) {
  const char *image = options->container;
  if (image == NULL || strstr(image, "://") != NULL || plm_file_exists(image)) return;
  if (strchr(image, '/') != NULL || ends_in(image, ".sif"))
    plm_warn("--container %s: there is no such image here", image);
}

/* Names end up on a line of #SBATCH. */
static plm_status check_text(const char *name, const char *text) {
  for (const char *c = text; c != NULL && *c != '\0'; c++)
    if (iscntrl((unsigned char)*c))
      return plm_fail(PLM_E_USAGE, "--%s: a line break or another control character", name);
  return PLM_OK;
}

static plm_status check_texts(const plm_option_values *values) {
  for (size_t i = 0; i < values->table->count; i++) {
    const plm_option *option = &values->table->options[i];
    const char *const field = (const char *)values->options + option->offset;
    if (option->type == PLM_OPT_STRING || option->type == PLM_OPT_PATH)
      PLM_TRY(check_text(option->name, *(const char *const *)(const void *)field));
    if (option->type != PLM_OPT_PATHS) continue;
    const plm_string_list *list = (const void *)field;
    for (size_t j = 0; j < list->count; j++) PLM_TRY(check_text(option->name, list->items[j]));
  }
  return PLM_OK;
}

plm_status plm_slurm_plan_make(const plm_option_values *values, const plm_slurm_line *line,
                               const plm_slurm_cluster *cluster, const char *own_program, plm_slurm_plan *ret_plan) {
  plm_slurm_plan *plan = ret_plan;
  const plm_slurm_options *options = values->options;
  *plan = (plm_slurm_plan){
      .options = options, .line = line, .cluster = cluster, .preset = plm_slurm_preset_find(options->preset)};
  PLM_TRY(check_texts(values));
  PLM_TRY(check_output(options));
  check_image(options);
  PLM_TRY(choose_gpus(plan));
  choose_ranks(plan);
  choose_cores(plan, values);
  PLM_TRY(choose_account(plan));
  choose_partition(plan);
  choose_job_name(plan);
  PLM_TRY(choose_time(plan));
  choose_mpi(plan);
  choose_engine(plan);
  choose_program(plan, own_program);
  tell_environment(plan);
  return plan->says.status;
}

void plm_slurm_plan_destroy(plm_slurm_plan *plan) { plm_text_free(&plan->says); }
