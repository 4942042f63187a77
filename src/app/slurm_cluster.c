/* slurm_cluster.c - what this cluster says of itself, asked on the machine on which the script is made. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/slurm.h"
#include "base/alloc.h"
#include "base/program.h"

#define SECONDS_TO_ANSWER 5

/* One line of sinfo: a kind of node in a partition. */
static const char format[] = "%P|%l|%c|%X|%G";

static void take_field(const char **rest, char ret_field[PLM_SLURM_NAME]) {
  const size_t length = strcspn(*rest, "|\n");
  snprintf(ret_field, PLM_SLURM_NAME, "%.*s", (int)length, *rest);
  *rest += length + ((*rest)[length] == '|');
}

/* "gpu:a100:4(S:0-1),shard:8" : 4; "gpu:2" : 2. */
static int count_gpus(const char *resources) {
  int count = 0;
  for (const char *entry = resources; *entry != '\0'; entry += strcspn(entry, ","), entry += *entry == ',') {
    const size_t length = strcspn(entry, ",(");
    const char *number = entry + length;
    if (strncmp(entry, "gpu:", 4) != 0) continue;
    while (number[-1] != ':') number--;
    count += atoi(number);
  }
  return count;
}

/* Slurm's times; 0: "infinite", or anything else. */
static double read_time(const char *text) {
  double seconds;
  if (strspn(text, "0123456789:-") != strlen(text) || strchr(text, ':') == NULL) return 0;
  return plm_option_duration_read(text, "sinfo", &seconds) == PLM_OK ? seconds : 0;
}

void plm_slurm_cluster_read(const char *text, const char *partition, plm_slurm_cluster *ret_cluster) {
  plm_slurm_cluster *c = ret_cluster;
  *c = (plm_slurm_cluster){0};
  for (const char *rest = text; *rest != '\0'; rest += strcspn(rest, "\n"), rest += *rest == '\n') {
    char name[PLM_SLURM_NAME], time[PLM_SLURM_NAME], cpus[PLM_SLURM_NAME], sockets[PLM_SLURM_NAME],
        resources[PLM_SLURM_NAME];
    const char *line = rest;
    take_field(&line, name);
    take_field(&line, time);
    take_field(&line, cpus);
    take_field(&line, sockets);
    take_field(&line, resources);
    const size_t length = strcspn(name, "*");
    const bool is_default = name[length] == '*';
    name[length] = '\0';
    if (partition != NULL ? strcmp(name, partition) != 0 : !is_default) continue;
    const int gpus = count_gpus(resources);
    if (c->is_known && gpus <= c->gpus) continue; /* of several kinds of node the one with GPUs, else the first */
    *c = (plm_slurm_cluster){.is_known = true, .max_time = read_time(time), .gpus = gpus};
    c->cpus = atoi(cpus); /* "64+": at least */
    c->sockets = atoi(sockets);
    snprintf(c->partition, sizeof c->partition, "%s", name);
  }
}

static char *ask(const char *const *argv) {
  const plm_program_call call = {.argv = argv, .timeout_s = SECONDS_TO_ANSWER, .quiet = true};
  char *text = NULL;
  int code;
  if (plm_run_program(&call, &text, &code) != PLM_OK) {
    plm_error_clear();
    return NULL;
  }
  if (code == 0) return text;
  plm_free(text);
  return NULL;
}

/* "MpiDefault              = pmix" */
static void read_mpi(const char *text, char ret_mpi[PLM_SLURM_NAME]) {
  const char *place = strstr(text, "MpiDefault");
  if (place == NULL) return;
  place += strcspn(place, "=\n");
  if (*place != '=') return;
  place += 1 + strspn(place + 1, " ");
  snprintf(ret_mpi, PLM_SLURM_NAME, "%.*s", (int)strcspn(place, " \n"), place);
}

void plm_slurm_cluster_ask(const char *partition, plm_slurm_cluster *ret_cluster) {
  const char *const nodes[] = {"sinfo", "-h", "-o", format, NULL};
  const char *const settings[] = {"scontrol", "show", "config", NULL};
  *ret_cluster = (plm_slurm_cluster){0};
  char *text = ask(nodes);
  if (text == NULL) return;
  plm_slurm_cluster_read(text, partition, ret_cluster);
  plm_free(text);
  text = ask(settings);
  if (text == NULL) return;
  read_mpi(text, ret_cluster->mpi);
  plm_free(text);
}
