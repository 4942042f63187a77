/* slurm_container.c - the lines that put each rank into a container. Slurm's own programs stay outside of it. */
#include <stdio.h>
#include <string.h>

#include "app/slurm.h"
#include "base/alloc.h"
#include "base/file.h"

/* ---- directories that must be seen in it ---- */

/* A list of directories, each a line; one that is there already is not added again. */
static void add_directory(plm_text *list, const char *path) {
  char line[PLM_SLURM_PATH + 2];
  snprintf(line, sizeof line, "%s\n", path);
  for (const char *rest = list->data; rest != NULL && *rest != '\0'; rest += strcspn(rest, "\n") + 1)
    if (strncmp(rest, line, strlen(line)) == 0) return;
  plm_text_append(list, line);
}

/* What lies below the directory of the job is seen anyway; what is not here may not be there either. */
static void add_place(plm_text *list, const char *path) {
  char *parent = NULL;
  if (path == NULL || path[0] != '/' || !plm_file_exists(path)) return;
  if (!plm_file_is_directory(path)) {
    const plm_status status = plm_path_parent(path, &parent);
    if (status != PLM_OK) {
      list->status = status;
      return;
    }
  }
  add_directory(list, parent != NULL ? parent : path);
  plm_free(parent);
}

/* Of the run that begins there: it may not be there yet. */
static void add_output(plm_text *list, const char *path) {
  char above[PLM_SLURM_PATH];
  if (path == NULL || path[0] != '/') return;
  snprintf(above, sizeof above, "%s", path);
  for (char *end; (end = strrchr(above, '/')) != NULL && end != above;) {
    *end = '\0';
    if (!plm_file_is_directory(above)) continue;
    add_directory(list, above);
    return;
  }
}

/* --bind, and where the words behind `--` lead to by whole paths. */
static void list_directories(const plm_slurm_plan *plan, plm_text *list) {
  const plm_option_values *values = plan->line->values;
  for (size_t i = 0; i < plan->options->bind.count; i++) add_directory(list, plan->options->bind.items[i]);
  for (size_t i = 0; i < values->table->count; i++) {
    const plm_option *option = &values->table->options[i];
    const void *field = (const char *)values->options + option->offset;
    if (option->type == PLM_OPT_PATHS && !option->is_words) {
      const plm_string_list *files = field;
      for (size_t j = 0; j < files->count; j++) add_place(list, files->items[j]);
    } else if (option->type == PLM_OPT_PATH || (option->type == PLM_OPT_STRING && option->may_be_path)) {
      add_place(list, *(const char *const *)field);
    }
  }
  add_output(list, plan->line->output_dir);
}

/* organisation/name, or a published name alone: in the Hugging Face cache, which lies in the home directory. */
static bool is_of_hub(const plm_slurm_plan *plan) {
  const plm_option *option = plm_option_find(plan->line->table, "model");
  const char *model = *(const char *const *)(const void *)((const char *)plan->line->values->options + option->offset);
  if (model == NULL || plm_file_exists(model) || strchr("/.~", model[0]) != NULL) return false;
  return strchr(model, '/') != NULL || strstr(model, "_UR50D") != NULL;
}

/* ` --bind DIR` for each, or ` --bind DIR:DIR`. */
static void append_binds(const plm_text *list, bool twice, plm_text *out) {
  for (const char *rest = list->data; rest != NULL && *rest != '\0'; rest += strcspn(rest, "\n") + 1) {
    char path[PLM_SLURM_PATH];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(rest, "\n"), rest);
    plm_text_append(out, " --bind ");
    plm_slurm_append_word(out, path, false);
    if (!twice) continue;
    plm_text_append(out, ":");
    plm_slurm_append_word(out, path, false);
  }
}

/* Ranks that srun starts by PMIx meet in files there; %n stands for the node, so the directory above it is shown. */
static void append_spool(plm_text *out) {
  plm_text_append(
      out,
      "spool=$(scontrol show config 2>/dev/null | sed -n 's/^SlurmdSpoolDir *= *//p') # where srun's ranks find each other\n"
      "case $spool in *%*) spool=${spool%%\\%*} spool=${spool%/*} ;; esac\n"
      "[ -d \"$spool\" ] || spool=$PWD\n");
}

/* UCX takes ranks for neighbours whose memory it then cannot reach, also where those of a node are joined. */
static void append_mpich(const plm_slurm_plan *plan, plm_text *out) {
  if (plan->mpi == NULL || strcmp(plan->mpi, "pmi2") != 0) return;
  plm_text_append(out,
                  "# MPICH's shared memory does not reach through containers; every network does.\n"
                  "export UCX_TLS=\"${UCX_TLS-^shm}\"\n");
}

/* ---- Apptainer ---- */

static void append_gpu_flag(const plm_slurm_plan *plan, plm_text *out) {
  const char *flag = plan->preset != NULL ? plan->preset->container_flag : NULL;
  if (plan->gpus_per_node == 0) return;
  plm_text_printf(out, " %s", flag != NULL ? flag : "\"$gpu\"");
}

static void append_apptainer(const plm_slurm_plan *plan, const plm_text *directories, plm_text *out) {
  plm_text_append(
      out,
      "# The container; Slurm's own programs stay outside of it. These lines were not run: no Apptainer was at hand.\n"
      "apptainer=$(command -v apptainer || command -v singularity) || {\n"
      "  echo \"neither apptainer nor singularity is on this node: load its module (protlm slurm --module NAME)\" >&2\n"
      "  exit 1\n}\n");
  if (plan->gpus_per_node > 0 && (plan->preset == NULL || plan->preset->container_flag == NULL))
    plm_text_append(out, "gpu=--nv\nif [ -e /dev/kfd ]; then gpu=--rocm; fi\n");
  append_spool(out);
  plm_text_append(out, "container=(\"$apptainer\" exec");
  append_gpu_flag(plan, out);
  plm_text_append(out, " --bind \"$PWD\" --bind \"$spool\"");
  append_binds(directories, false, out);
  plm_text_append(out, " ");
  plm_slurm_append_word(out, plan->options->container, false);
  plm_text_append(
      out,
      ")\n# Ranks of one node, in a container each, cannot read each other's memory as Open MPI would like to.\n"
      "export OMPI_MCA_btl_vader_single_copy_mechanism=\"${OMPI_MCA_btl_vader_single_copy_mechanism-none}\"\n");
  append_mpich(plan, out);
  plm_text_append(out, "\n");
}

/* ---- Charliecloud ---- */

/* ch-run shows a directory only where the image has one of that name. A list, as shellcheck minds a loop over one word. */
static void append_mount_points(const plm_text *directories, bool of_hub, plm_text *out) {
  plm_text_append(out, "directories=(\"$PWD\" \"$spool\"");
  if (of_hub) plm_text_append(out, " \"$HF_HOME\"");
  for (const char *rest = directories->data; rest != NULL && *rest != '\0'; rest += strcspn(rest, "\n") + 1) {
    char path[PLM_SLURM_PATH];
    snprintf(path, sizeof path, "%.*s", (int)strcspn(rest, "\n"), rest);
    plm_text_append(out, " ");
    plm_slurm_append_word(out, path, false);
  }
  plm_text_append(out,
                  ") # ch-run shows a directory where the image has one of that name\n"
                  "for directory in \"${directories[@]}\"; do\n"
                  "  if [ -d \"$image\" ]; then mkdir -p \"$image$directory\"; fi\n"
                  "done\n");
}

static void append_charliecloud(const plm_slurm_plan *plan, const plm_text *directories, plm_text *out) {
  const bool of_hub = is_of_hub(plan);
  plm_text_append(
      out,
      "# The container; Slurm's own programs stay outside of it. The ranks of a node share one (--join), so that they can\n"
      "# read each other's memory.\n"
      "image=");
  plm_slurm_append_word(out, plan->options->container, false);
  plm_text_append(out, "\nexport USER=\"${USER:-$(id -un)}\" # which ch-run wants\n");
  if (of_hub)
    plm_text_append(out, "export HF_HOME=\"${HF_HOME:-$HOME/.cache/huggingface}\" # where the model was fetched to\n");
  append_spool(out);
  append_mount_points(directories, of_hub, out);
  plm_text_append(
      out,
      "container=(ch-run --join --join-ct=\"$ranks_per_node\" --join-tag=\"$SLURM_JOB_ID.${SLURM_RESTART_COUNT:-0}\"\n"
      "  --bind /dev/shm:/dev/shm --bind /tmp:/tmp --bind \"$spool:$spool\" --bind \"$PWD:$PWD\"");
  if (of_hub) plm_text_append(out, " --bind \"$HF_HOME:$HF_HOME\"");
  append_binds(directories, true, out);
  plm_text_append(out, " --cd \"$PWD\" \"$image\" --)\n");
  append_mpich(plan, out);
  plm_text_append(out, "\n");
}

void plm_slurm_append_container(const plm_slurm_plan *plan, plm_text *out) {
  plm_text directories = {0};
  if (plan->engine == PLM_SLURM_NO_CONTAINER) return;
  list_directories(plan, &directories);
  if (plan->engine == PLM_SLURM_APPTAINER)
    append_apptainer(plan, &directories, out);
  else
    append_charliecloud(plan, &directories, out);
  if (directories.status != PLM_OK) out->status = directories.status;
  plm_text_free(&directories);
}
