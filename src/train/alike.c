/* alike.c - see alike.h. Contents: the program, options, data. */
#define _GNU_SOURCE
#include "train/alike.h"

#include <link.h>
#include <string.h>

#include "base/alloc.h"
#include "base/text.h"
#include "data/sampler.h"

/* ---- the program ---- */

/* What the linker made of its content. */
typedef struct build_id {
  unsigned char bytes[64];
  size_t count; /* 0: it has none */
} build_id;

static void take_note(const ElfW(Nhdr) * note, build_id *id) {
  const unsigned char *name = (const unsigned char *)(note + 1);
  if (note->n_type != NT_GNU_BUILD_ID || note->n_namesz != sizeof "GNU" || memcmp(name, "GNU", sizeof "GNU") != 0)
    return;
  id->count = note->n_descsz < sizeof id->bytes ? note->n_descsz : sizeof id->bytes;
  memcpy(id->bytes, name + ((note->n_namesz + 3) & ~3u), id->count);
}

/* Of the first object, which is the program. */
static int find_build_id(struct dl_phdr_info *object, size_t bytes, void *user) {
  (void)bytes;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
    if (segment->p_type != PT_NOTE) continue;
    const char *at = (const char *)(uintptr_t)(object->dlpi_addr + segment->p_vaddr), *end = at + segment->p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const ElfW(Nhdr) *note = (const void *)at;
      take_note(note, user);
      at += sizeof *note + ((note->n_namesz + 3) & ~3u) + ((note->n_descsz + 3) & ~3u);
    }
  }
  return 1;
}

plm_status plm_alike_program(plm_comm *comm) {
  const int stream = PLM_STREAM_VERSION;
  build_id id = {.count = 0};
  if (comm->size == 1) return PLM_OK;
  dl_iterate_phdr(find_build_id, &id);
  PLM_TRY(plm_agree_same(comm, "version of protlm", PLM_VERSION, strlen(PLM_VERSION)));
  PLM_TRY(plm_agree_same(comm, "version of the stream of batches", &stream, sizeof stream));
  return plm_agree_same(comm, "build of protlm", id.bytes, id.count);
}

/* ---- options ---- */

static bool is_compared(const plm_option *option) {
  static const char *const of_the_place[] = {"output-dir", "resume-from-checkpoint", "cache-dir", "time-limit",
                                             "threads",    "loader-workers",         "config",    "print-config"};
  if (plm_train_option_is_data(option->name)) return false;
  for (size_t i = 0; i < sizeof of_the_place / sizeof *of_the_place; i++)
    if (strcmp(option->name, of_the_place[i]) == 0) return false;
  return true;
}

static plm_status compare_option(plm_comm *comm, const plm_train_settings *s, const plm_option *option) {
  char *text = NULL, *name = NULL;
  plm_status status = plm_option_text(s->values, option, &text);
  if (status == PLM_OK) status = plm_sprintf(&name, "--%s", option->name);
  status = plm_agree(comm, "options", status);
  if (status == PLM_OK) status = plm_agree_same(comm, name, text, strlen(text));
  plm_free(name);
  plm_free(text);
  return status;
}

static plm_status join_options(const plm_train_settings *s, plm_text *all) {
  const plm_option_table *table = s->values->table;
  for (size_t i = 0; i < table->count; i++) {
    char *text;
    if (!is_compared(&table->options[i])) continue;
    PLM_TRY(plm_option_text(s->values, &table->options[i], &text));
    plm_text_printf(all, "%s=%s\n", table->options[i].name, text);
    plm_free(text);
  }
  return all->status;
}

/* All at once; one by one only to find which it is. */
plm_status plm_alike_options(plm_comm *comm, const plm_train_settings *s) {
  const plm_option_table *table = s->values->table;
  plm_text all = {0};
  if (comm->size == 1) return PLM_OK;
  plm_status status = plm_agree(comm, "options", join_options(s, &all));
  if (status == PLM_OK) status = plm_agree_same(comm, "options", all.data, all.length);
  plm_text_free(&all);
  for (size_t i = 0; i < table->count && status == PLM_E_USAGE; i++)
    if (is_compared(&table->options[i])) PLM_TRY(compare_option(comm, s, &table->options[i]));
  return status;
}

/* ---- data ---- */

static plm_status compare_data(plm_comm *comm, const char *what, const plm_dataset *dataset) {
  const char *hash = dataset != NULL ? plm_dataset_get_info(dataset)->content_hash : "";
  return plm_agree_same(comm, what, hash, strlen(hash));
}

plm_status plm_alike_data(plm_comm *comm, const plm_stream *stream) {
  PLM_TRY(compare_data(comm, "training sequences", stream->train_data));
  return compare_data(comm, "evaluation sequences", stream->eval_data);
}
