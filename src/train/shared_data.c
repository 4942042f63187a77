/* shared_data.c - see shared_data.h. */
#include "train/shared_data.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/text.h"
#include "protlm/log.h"
#include "train/seen.h"

enum { PATH = 4096 };

typedef struct opening {
  plm_comm *comm;
  const plm_data_options *options;
  const plm_string_list *paths;
  const plm_data_reader *reader;
  plm_dataset *dataset; /* this rank's, once it has one */
} opening;

static bool is_leader(const plm_comm *comm) { return comm->local_rank == 0 || comm->rank == 0; }

static plm_status open_here(opening *o) { return plm_data_open(o->options, o->paths, o->reader, &o->dataset); }

/* ---- rank 0 ---- */

static plm_status refuse_stream(const opening *o) {
  plm_fail(PLM_E_USAGE, "%s can be read only once, and there are %d ranks", o->paths->items[0], o->comm->size);
  return plm_hint(PLM_E_USAGE, "write the sequences to a file that all nodes see, and give that");
}

static plm_status open_first(opening *o) {
  PLM_TRY(open_here(o));
  return plm_file_exists(plm_dataset_get_info(o->dataset)->path) ? PLM_OK : refuse_stream(o);
}

/* ---- the first rank of each other node ---- */

/* A new file of a directory that is shared will be seen soon; of one that is not, it never will. */
static void wait_for(const char *path) {
  char *parent = NULL;
  if (plm_path_parent(path, &parent) == PLM_OK && plm_file_is_directory(parent))
    (void)plm_file_is_seen(parent, plm_path_name(path));
  plm_free(parent);
  plm_error_clear();
}

static plm_status open_leaders(opening *o, const char *made, bool is_new) {
  if (o->comm->rank == 0 || !is_leader(o->comm)) return PLM_OK;
  if (is_new && o->comm->node != o->comm->places[0].node) wait_for(made);
  return open_here(o);
}

/* ---- the rest ---- */

/* What a rank has to tell of its files. */
typedef struct finding {
  char packed[PATH]; /* "" where it has none yet */
  uint64_t files;    /* names and sizes: another rank of the node may have been given others */
} finding;

static plm_status look(const opening *o, finding *ret_finding) {
  plm_text facts = {0};
  for (size_t i = 0; i < o->paths->count; i++) {
    int64_t bytes = -1;
    if (plm_file_size(o->paths->items[i], &bytes) != PLM_OK) plm_error_clear(); /* whoever opens it says so */
    plm_text_printf(&facts, "%s %lld\n", o->paths->items[i], (long long)bytes);
  }
  *ret_finding = (finding){.files = plm_hash64(facts.data, facts.length)};
  if (o->dataset != NULL)
    snprintf(ret_finding->packed, sizeof ret_finding->packed, "%s", plm_dataset_get_info(o->dataset)->path);
  const plm_status status = facts.status;
  plm_text_free(&facts);
  return status;
}

static int leader_of(const plm_comm *comm) {
  for (int rank = 0; rank < comm->size; rank++)
    if (comm->places[rank].node == comm->node && comm->places[rank].local_rank == 0) return rank;
  return 0;
}

static plm_status open_rest(opening *o, const finding *all) {
  const finding *leader = &all[leader_of(o->comm)];
  const plm_data_reader reader = {
      .threads = o->reader->threads,
      .interrupted = o->reader->interrupted,
      .program = o->reader->program,
      .packed = leader->packed,
  };
  if (o->dataset != NULL) return PLM_OK;
  if (leader->files == all[o->comm->rank].files) {
    if (plm_data_open(o->options, o->paths, &reader, &o->dataset) == PLM_OK) return PLM_OK;
    plm_debug("%s: %s", reader.packed, plm_error_message()); /* in a container of its own, say */
    plm_error_clear();
  }
  return open_here(o);
}

static plm_status gather_findings(const opening *o, finding **ret_all) {
  finding mine;
  plm_status status = look(o, &mine);
  if (status == PLM_OK) status = PLM_NEW(ret_all, o->comm->size);
  PLM_TRY(plm_agree(o->comm, "data", status));
  return o->comm->exchange(o->comm, "data", &mine, sizeof mine, *ret_all);
}

/* ---- the whole ---- */

static plm_status open_together(opening *o) {
  plm_comm *comm = o->comm;
  char *made = NULL;
  finding *all = NULL;
  bool is_new = false;
  plm_status status = comm->rank == 0 ? open_first(o) : PLM_OK;
  if (comm->rank == 0 && status == PLM_OK) {
    is_new = !plm_dataset_get_info(o->dataset)->from_cache;
    status = plm_strdup(plm_dataset_get_info(o->dataset)->path, &made);
  }
  PLM_TRY_GOTO(plm_agree(comm, "data", status), done);
  PLM_TRY_GOTO(plm_agree_on_text(comm, "data", &made), done);
  PLM_TRY_GOTO(plm_agree_on_first(comm, "data", &is_new, sizeof is_new), done);
  PLM_TRY_GOTO(plm_agree(comm, "data", open_leaders(o, made, is_new)), done);
  PLM_TRY_GOTO(gather_findings(o, &all), done);
  PLM_TRY_GOTO(plm_agree(comm, "data", open_rest(o, all)), done);
done:
  plm_free(all);
  plm_free(made);
  return status;
}

plm_status plm_shared_data_open(plm_comm *comm, const plm_data_options *options, const plm_string_list *paths,
                                const plm_data_reader *reader, plm_dataset **ret_dataset) {
  opening o = {.comm = comm, .options = options, .paths = paths, .reader = reader};
  if (comm == NULL || comm->size == 1) return plm_data_open(options, paths, reader, ret_dataset);
  const plm_status status = open_together(&o);
  if (status == PLM_OK)
    *ret_dataset = o.dataset;
  else
    plm_dataset_close(o.dataset);
  return status;
}
