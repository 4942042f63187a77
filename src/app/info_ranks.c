/* info_ranks.c - see info_ranks.h. Contents: facts, one process, several, the table as text. */
#include "app/info_ranks.h"

#include <stdio.h>
#include <string.h>

#include "app/print.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/text.h"
#include "dist/agree.h"
#include "dist/launch.h"
#include "dist/share.h"

/* ---- facts ---- */

static plm_status add(json_t *section, const char *name, json_t *fact) {
  if (json_object_set_new(section, name, fact) == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "out of memory while listing ranks");
}

static plm_status add_launch(json_t *section, const plm_launch *launch) {
  PLM_TRY(add(section, "launched_by", json_string(launch->is_leftover ? "nothing" : launch->by)));
  return launch->is_leftover ? add(section, "left_over", json_string(launch->variable)) : PLM_OK;
}

static plm_status add_processors(json_t *section, const plm_rank_facts *f) {
  char text[PLM_CPU_SET_TEXT];
  PLM_TRY(add(section, "cpus", json_string(plm_cpu_set_text(&f->cpus, text))));
  return add(section, "numa_nodes", json_string(plm_cpu_set_text(&f->nodes, text)));
}

static plm_status read_facts(plm_exec *exec, int local_size, plm_rank_facts *ret_facts) {
  size_t total, available;
  PLM_TRY(exec->device->memory_info(exec->device, &total, &available));
  plm_rank_facts_read(ret_facts);
  ret_facts->threads = plm_pool_threads(exec->pool);
  ret_facts->memory = (int64_t)total / local_size;
  snprintf(ret_facts->level, sizeof ret_facts->level, "%s", exec->kernels);
  return PLM_OK;
}

/* ---- one process ---- */

static plm_status add_single(json_t *section, const plm_launch *launch, plm_exec *exec) {
  plm_rank_facts facts;
  PLM_TRY(read_facts(exec, 1, &facts));
  PLM_TRY(add(section, "rank", json_integer(launch->rank)));
  PLM_TRY(add(section, "size", json_integer(launch->size)));
  PLM_TRY(add(section, "local_rank", json_integer(launch->local_rank)));
  PLM_TRY(add_processors(section, &facts));
  const bool is_lost = launch->size > 1 && !launch->is_leftover;
  return add(section, "communicator", json_string(is_lost ? "self: the others are not found" : "self: one process"));
}

/* ---- several ---- */

static plm_status add_rank(json_t *table, const plm_comm *comm, int rank, const plm_rank_facts *f) {
  const plm_rank_place *place = &comm->places[rank];
  json_t *row = json_pack("{s:i, s:i, s:i, s:i, s:o}", "rank", rank, "local_rank", place->local_rank, "world_size",
                          comm->size, "node", place->node, "host", plm_json_string(place->host));
  if (row == NULL || json_array_append_new(table, row) != 0)
    return plm_fail(PLM_E_RESOURCE, "out of memory while listing ranks");
  PLM_TRY(add_processors(row, f));
  PLM_TRY(add(row, "threads", json_integer(f->threads)));
  PLM_TRY(add(row, "memory_bytes", json_integer(f->memory)));
  return add(row, "level", json_string(f->level));
}

static plm_status add_table(json_t *section, plm_comm *comm, plm_status mine, const plm_rank_facts *facts,
                            plm_rank_facts *all) {
  PLM_TRY(plm_agree(comm, "info", mine));
  PLM_TRY(plm_rank_facts_gather(comm, facts, all));
  PLM_TRY(add(section, "communicator", json_string(comm->name)));
  PLM_TRY(add(section, "world_size", json_integer(comm->size)));
  PLM_TRY(add(section, "hosts", json_integer(comm->nodes)));
  json_t *table = json_array();
  PLM_TRY(add(section, "table", table));
  for (int rank = 0; rank < comm->size; rank++) PLM_TRY(add_rank(table, comm, rank, &all[rank]));
  return PLM_OK;
}

plm_status plm_info_add_ranks(json_t *section, plm_comm *comm, plm_exec *exec) {
  plm_launch launch;
  plm_rank_facts facts = {0}, *all;
  plm_launch_detect(&launch);
  PLM_TRY(add_launch(section, &launch));
  if (comm == NULL || comm->size == 1) return add_single(section, &launch, exec);
  PLM_TRY(PLM_NEW(&all, comm->size));
  plm_status status = add_table(section, comm, read_facts(exec, comm->local_size, &facts), &facts, all);
  plm_free(all);
  return status;
}

/* ---- the table as text ---- */

typedef struct column {
  const char *heading, *member;
  bool is_text; /* left-aligned */
} column;

static const column columns[] = {
    {"rank", "rank", false},
    {"local rank", "local_rank", false},
    {"world size", "world_size", false},
    {"host", "host", true},
    {"CPUs", "cpus", true},
    {"NUMA", "numa_nodes", true},
    {"threads", "threads", false},
    {"memory", "memory_bytes", false},
    {"level", "level", true},
};
enum { COLUMNS = sizeof columns / sizeof *columns, CELL = PLM_CPU_SET_TEXT };

static const char *cell_of(const json_t *row, const column *c, char cell[CELL]) {
  const json_t *fact = json_object_get(row, c->member);
  if (strcmp(c->member, "memory_bytes") == 0) {
    char bytes[PLM_NUMBER_TEXT];
    snprintf(cell, CELL, "%s", plm_bytes_text(json_integer_value(fact), bytes));
  } else if (json_is_integer(fact)) {
    snprintf(cell, CELL, "%lld", (long long)json_integer_value(fact));
  } else {
    snprintf(cell, CELL, "%s", json_string_value(fact));
  }
  return cell;
}

static void measure(const json_t *table, int widths[COLUMNS]) {
  char cell[CELL];
  for (size_t i = 0; i < COLUMNS; i++) {
    widths[i] = (int)strlen(columns[i].heading);
    for (size_t rank = 0; rank < json_array_size(table); rank++) {
      const int width = (int)strlen(cell_of(json_array_get(table, rank), &columns[i], cell));
      if (width > widths[i]) widths[i] = width;
    }
  }
}

/* row: NULL for the headings */
static void print_row(const plm_output *output, const json_t *row, const int widths[COLUMNS]) {
  for (size_t i = 0; i < COLUMNS; i++) {
    char cell[CELL];
    const char *text = row != NULL ? cell_of(row, &columns[i], cell) : columns[i].heading;
    const int width = i + 1 == COLUMNS ? 0 : widths[i];
    plm_print(output, columns[i].is_text ? "  %-*s" : "  %*s", width, text);
  }
  plm_print(output, "%s\n", row == NULL ? plm_style(output, PLM_RESET) : "");
}

void plm_info_print_ranks(const plm_output *output, const json_t *section) {
  const json_t *table = json_object_get(section, "table");
  const long long ranks = json_integer_value(json_object_get(section, "world_size"));
  const long long hosts = json_integer_value(json_object_get(section, "hosts"));
  int widths[COLUMNS];
  measure(table, widths);
  plm_print(output, "%lld ranks on %lld %s, started by %s, joined by %s\n\n", ranks, hosts,
            plm_plural(hosts, "host", "hosts"), json_string_value(json_object_get(section, "launched_by")),
            json_string_value(json_object_get(section, "communicator")));
  plm_print(output, "%s", plm_style(output, PLM_BOLD));
  print_row(output, NULL, widths);
  for (size_t rank = 0; rank < json_array_size(table); rank++) print_row(output, json_array_get(table, rank), widths);
}
