/* info.c - `protlm info`: what this program is, what this machine offers it, and what is missing.
 *
 * The facts are one JSON document, a section a member; text is a way of printing it.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "app/commands.h"
#include "app/info_libraries.h"
#include "app/info_ranks.h"
#include "app/print.h"
#include "app/session.h"
#include "base/alloc.h"
#include "base/json.h"
#include "base/system.h"
#include "base/text.h"
#include "data/dataset_cache.h"

typedef struct info_options {
  int64_t threads;
  bool json;
} info_options;

static const plm_option option_list[] = {
    {
        .name = "json",
        .type = PLM_OPT_FLAG,
        .offset = offsetof(info_options, json),
        .group = "Output",
        .help = "the same facts as one JSON object",
    },
    PLM_OPTION_THREADS(info_options, threads),
};

const plm_option_table *plm_info_option_table(void) {
  static const plm_option_table table = {
      .command = "info",
      .summary = "show build, processor, libraries, ranks and caches",
      .usage = "protlm info [--json]",
      .description =
          "Says what protlm was built with and what it found here: processor level, memory, threads, libraries (and what it means when one is "
          "missing), where each operator's code comes from, how the launcher started it, and where files are cached. Add its output to a "
          "report of a problem.\n\nUnder mpirun, mpiexec or srun it prints one table of all ranks: where each runs, on which processors, with how many "
          "threads and how much memory; --json has the rest too.",
      .examples =
          "protlm info\n# the ranks of a run, before it is started\nmpirun -n 2 protlm info\n# what a processor without AVX-512 would run\nPROTLM_CPU=avx2 protlm info\n",
      .options = option_list,
      .count = sizeof option_list / sizeof *option_list,
      .struct_size = sizeof(info_options),
  };
  return &table;
}

/* ---- facts ---- */

static plm_status add(json_t *section, const char *name, json_t *fact) {
  if (json_object_set_new(section, name, fact) == 0) return PLM_OK;
  return plm_fail(PLM_E_RESOURCE, "out of memory while listing facts");
}

static plm_status add_text(json_t *section, const char *name, const char *text) {
  return add(section, name, json_string(text));
}
static plm_status add_number(json_t *section, const char *name, int64_t number) {
  return add(section, name, json_integer(number));
}

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#elif defined(__GNUC__)
#define COMPILER "GCC " __VERSION__
#else
#define COMPILER "unknown"
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define BUILD "sanitizers, slow"
#elif defined(__OPTIMIZE__)
#define BUILD "optimised"
#else
#define BUILD "not optimised, slow"
#endif

static plm_status add_program(json_t *section) {
  plm_system system;
  plm_system_read(&system);
  PLM_TRY(add_text(section, "version", PLM_VERSION));
  PLM_TRY(add_text(section, "compiler", COMPILER));
  PLM_TRY(add_text(section, "build", BUILD));
  return add_text(section, "system", system.os);
}

static plm_status add_processor(json_t *section, const plm_session *session) {
  const plm_exec *exec = session->machine.exec;
  const char *why = session->threads.why;
  const char *mask = getenv("PROTLM_CPU");
  char found[PLM_BACKEND_WORDS];
  plm_system system;
  plm_system_read(&system);
  exec->backend->describe(found);
  PLM_TRY(add_text(section, "name", system.cpu));
  PLM_TRY(add_number(section, "usable", system.cpus));
  PLM_TRY(add_number(section, "threads", plm_pool_threads(exec->pool)));
  if (*why != '\0') PLM_TRY(add_text(section, "threads_why", why));
  PLM_TRY(add_text(section, "threads_from", plm_pool_kind()));
  PLM_TRY(add_text(section, "level_found", found));
  PLM_TRY(add_text(section, "level_used", exec->kernels));
  return mask == NULL || *mask == '\0' ? PLM_OK : add_text(section, "PROTLM_CPU", mask);
}

static plm_status add_memory(json_t *section, plm_device *device) {
  size_t total, available;
  PLM_TRY(device->memory_info(device, &total, &available));
  PLM_TRY(add_number(section, "total_bytes", (int64_t)total));
  return add_number(section, "free_bytes", (int64_t)available);
}

static plm_status add_libraries(json_t *section) {
  plm_library libraries[PLM_LIBRARIES];
  plm_libraries_list(libraries);
  for (size_t i = 0; i < PLM_LIBRARIES; i++) {
    char missing[160];
    snprintf(missing, sizeof missing, "not in this build: %s", libraries[i].absence);
    PLM_TRY(add_text(section, libraries[i].name, libraries[i].version[0] != '\0' ? libraries[i].version : missing));
  }
  return PLM_OK;
}

static plm_status add_operators(json_t *section, const plm_exec *exec) {
#define ADD_ORIGIN(op) PLM_TRY(add_text(section, #op, exec->backend->origin(exec, #op)));
  PLM_OPS(ADD_ORIGIN)
#undef ADD_ORIGIN
  return PLM_OK;
}

/* The first directory that applies after the one beside the data. */
static plm_status add_caches(json_t *section) {
  const char *no_file = "";
  const plm_dataset_options nowhere = {.paths = {.items = &no_file, .count = 1}, .threads = 1};
  char *path = NULL;
  plm_status status = PLM_OK;
  for (int i = 1; status == PLM_OK; i++) {
    status = plm_cache_directory(&nowhere, i, &path);
    if (status != PLM_OK || path == NULL || *path != '\0') break;
    plm_free(path);
  }
  if (status == PLM_OK && path != NULL) status = add_text(section, "packed_data", path);
  plm_free(path);
  if (status != PLM_OK) return status;
  PLM_TRY(plm_model_hub_root(&path));
  status = add_text(section, "hugging_face", path);
  plm_free(path);
  return status;
}

static plm_status add_section(json_t *document, const char *name, json_t **ret_section) {
  *ret_section = json_object();
  return add(document, name, *ret_section);
}

static plm_status collect(json_t *document, plm_session *session, plm_comm *comm) {
  json_t *section;
  PLM_TRY(add_section(document, "protlm", &section));
  PLM_TRY(add_program(section));
  PLM_TRY(add_section(document, "processor", &section));
  PLM_TRY(add_processor(section, session));
  PLM_TRY(add_section(document, "memory", &section));
  PLM_TRY(add_memory(section, session->machine.exec->device));
  PLM_TRY(add_section(document, "libraries", &section));
  PLM_TRY(add_libraries(section));
  PLM_TRY(add_section(document, "operators", &section));
  PLM_TRY(add_operators(section, session->machine.exec));
  PLM_TRY(add_section(document, "ranks", &section));
  PLM_TRY(plm_info_add_ranks(section, comm, session->machine.exec));
  PLM_TRY(add_section(document, "caches", &section));
  return add_caches(section);
}

/* ---- as text ---- */

static void print_fact(const plm_output *output, const char *name, const json_t *fact) {
  char label[48], bytes[PLM_NUMBER_TEXT];
  size_t length = strlen(name), suffix = strlen("_bytes");
  bool is_bytes = json_is_integer(fact) && length > suffix && strcmp(name + length - suffix, "_bytes") == 0;
  snprintf(label, sizeof label, "%.*s", (int)(is_bytes ? length - suffix : length), name);
  if (is_bytes)
    plm_print(output, "  %-24s %s\n", label, plm_bytes_text(json_integer_value(fact), bytes));
  else if (json_is_integer(fact))
    plm_print(output, "  %-24s %lld\n", label, (long long)json_integer_value(fact));
  else
    plm_print(output, "  %-24s %s\n", label, json_string_value(fact));
}

static void print_text(const plm_output *output, json_t *document) {
  const char *title, *name;
  json_t *section, *fact;
  json_object_foreach(document, title, section) {
    plm_print(output, "%s%s%s\n", plm_style(output, PLM_BOLD), title, plm_style(output, PLM_RESET));
    json_object_foreach(section, name, fact) print_fact(output, name, fact);
  }
}

static plm_status print_json(const plm_output *output, const json_t *document) {
  char *text;
  PLM_TRY(plm_json_dump(document, &text));
  plm_print(output, "%s", text);
  plm_free(text);
  return PLM_OK;
}

plm_status plm_info_run(const plm_option_values *values, const plm_output *output) {
  const info_options *options = values->options;
  plm_session session = {0};
  json_t *document = NULL;
  plm_status status;
  PLM_TRY_GOTO(plm_session_open_machine(options->threads, output->comm, &session), done);
  document = json_object();
  PLM_TRY_GOTO(collect(document, &session, output->comm), done);
  if (options->json)
    PLM_TRY_GOTO(print_json(output, document), done);
  else if (output->comm != NULL && output->comm->size > 1)
    plm_info_print_ranks(output, json_object_get(document, "ranks"));
  else
    print_text(output, document);
done:
  json_decref(document);
  plm_session_close(&session);
  return status;
}
