/* module.c - the transport over MPI: compiled once for each make of it that has headers here, and linked to none; the
 * program opens the library first, then this (mpi_library.c). Contents: failures, messages, places, opening and ending.
 *
 * MPI carries bytes and adds nothing. Every call but MPI_Abort is made by the thread that called MPI_Init_thread.
 */
#include <mpi.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "dist/transport.h"

__attribute__((visibility("default"))) extern const plm_mpi_module plm_mpi_module_v1;

/* One in a process, as MPI is. */
static struct {
  plm_transport transport; /* first */
  MPI_Comm channels[PLM_CHANNELS];
  int count; /* under way; their requests and tokens lie at the front */
  MPI_Request requests[PLM_TRANSPORT_REQUESTS];
  void *tokens[PLM_TRANSPORT_REQUESTS];
  /* of MPI_Testsome */
  int finished[PLM_TRANSPORT_REQUESTS];
  MPI_Status statuses[PLM_TRANSPORT_REQUESTS];
  int told_count; /* tokens that have finished and were not told yet */
  void *told[PLM_TRANSPORT_REQUESTS];
} world;

/* ---- failures ---- */

static void describe(const char *call, int code) {
  char words[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  if (MPI_Error_string(code, words, &length) != MPI_SUCCESS) snprintf(words, sizeof words, "error %d", code);
  for (char *c = words; *c != '\0'; c++)
    if (*c == '\n') *c = ' ';
  snprintf(world.transport.words, sizeof world.transport.words, "%s: %.800s", call, words);
}

static bool is_done(const char *call, int code) {
  if (code != MPI_SUCCESS) describe(call, code);
  return code == MPI_SUCCESS;
}

/* ---- messages ---- */

static bool has_room(void) {
  const bool has = world.count < PLM_TRANSPORT_REQUESTS;
  if (!has) snprintf(world.transport.words, sizeof world.transport.words, "too many messages are under way");
  return has;
}

static bool module_send(plm_transport *t, plm_channel channel, int to, int tag, const void *data, int64_t bytes,
                        void *token) {
  (void)t;
  if (!has_room()) return false;
  world.tokens[world.count] = token;
  return is_done("MPI_Isend", MPI_Isend(data, (int)bytes, MPI_BYTE, to, tag, world.channels[channel],
                                        &world.requests[world.count++]));
}

static bool module_receive(plm_transport *t, plm_channel channel, int from, int tag, void *data, int64_t bytes,
                           void *token) {
  (void)t;
  if (!has_room()) return false;
  world.tokens[world.count] = token;
  return is_done("MPI_Irecv", MPI_Irecv(data, (int)bytes, MPI_BYTE, from, tag, world.channels[channel],
                                        &world.requests[world.count++]));
}

/* With MPI_ERR_IN_STATUS the reason is in one of the statuses. */
static int find_reason(int code, int finished) {
  if (code == MPI_SUCCESS) return code;
  for (int i = 0; i < finished; i++)
    if (world.statuses[i].MPI_ERROR != MPI_SUCCESS && world.statuses[i].MPI_ERROR != MPI_ERR_PENDING)
      return world.statuses[i].MPI_ERROR;
  return code;
}

/* What is finished is put behind what waits to be told, and the rest moves up. */
static bool test_all(void) {
  int finished = 0;
  if (world.count == 0) return true;
  const int code = MPI_Testsome(world.count, world.requests, &finished, world.finished, world.statuses);
  if (!is_done("MPI_Testsome", find_reason(code, finished == MPI_UNDEFINED ? 0 : finished))) return false;
  if (finished == MPI_UNDEFINED || finished == 0) return true;
  for (int i = 0; i < finished; i++) world.told[world.told_count++] = world.tokens[world.finished[i]];
  int kept = 0;
  for (int i = 0; i < world.count; i++) {
    if (world.requests[i] == MPI_REQUEST_NULL) continue;
    world.requests[kept] = world.requests[i];
    world.tokens[kept++] = world.tokens[i];
  }
  world.count = kept;
  return true;
}

static int module_test(plm_transport *t, void **ret_tokens, int most) {
  (void)t;
  if (world.told_count == 0 && !test_all()) return -1;
  const int count = world.told_count < most ? world.told_count : most;
  memcpy(ret_tokens, world.told, (size_t)count * sizeof *ret_tokens);
  world.told_count -= count;
  memmove(world.told, world.told + count, (size_t)world.told_count * sizeof *world.told);
  return count;
}

static int module_probe(plm_transport *t, plm_channel channel, int tag) {
  int is_there = 0;
  MPI_Status status;
  (void)t;
  const int code = MPI_Iprobe(MPI_ANY_SOURCE, tag, world.channels[channel], &is_there, &status);
  if (!is_done("MPI_Iprobe", code)) return -2;
  return is_there ? status.MPI_SOURCE : -1;
}

/* ---- places ---- */

/* Nodes are numbered by their lowest ranks: each rank learns that of every other's node, a chunk at a time. */
static int number_nodes(plm_transport *t, int lowest) {
  enum { CHUNK = 4096 };
  static char is_lowest[CHUNK], any[CHUNK];
  int code = MPI_SUCCESS;
  for (int begin = 0; begin < t->size && code == MPI_SUCCESS; begin += CHUNK) {
    memset(is_lowest, 0, sizeof is_lowest);
    if (lowest >= begin && lowest < begin + CHUNK) is_lowest[lowest - begin] = 1;
    code = MPI_Allreduce(is_lowest, any, CHUNK, MPI_SIGNED_CHAR, MPI_MAX, MPI_COMM_WORLD);
    for (int i = 0; i < CHUNK; i++) {
      t->nodes += any[i];
      t->node += begin + i < lowest ? any[i] : 0;
    }
  }
  return code;
}

/* Ranks that can share memory: MPI knows, the environment does not always. */
static bool find_places(plm_transport *t) {
  MPI_Comm shared = MPI_COMM_NULL;
  int lowest = 0;
  int code = MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, t->rank, MPI_INFO_NULL, &shared);
  if (code == MPI_SUCCESS) code = MPI_Comm_rank(shared, &t->local_rank);
  if (code == MPI_SUCCESS) code = MPI_Comm_size(shared, &t->local_size);
  if (code == MPI_SUCCESS) code = MPI_Allreduce(&t->rank, &lowest, 1, MPI_INT, MPI_MIN, shared);
  if (code == MPI_SUCCESS) code = number_nodes(t, lowest);
  if (code == MPI_SUCCESS) code = MPI_Comm_free(&shared);
  return is_done("MPI_Comm_split_type", code);
}

/* ---- opening and ending ---- */

/* "Open MPI v4.1.4, package: ..." is "Open MPI 4.1.4"; "MPICH Version:\t4.0.2\n..." is "MPICH 4.0.2". */
static void name_library(plm_transport *t) {
  static char version[MPI_MAX_LIBRARY_VERSION_STRING];
  char make[64] = "", number[32] = "";
  int length = 0;
  if (MPI_Get_library_version(version, &length) != MPI_SUCCESS) version[0] = '\0';
  if (sscanf(version, "Open MPI v%31[0-9a-z.]", number) == 1)
    snprintf(make, sizeof make, "Open MPI");
  else if (sscanf(version, "MPICH Version: %31[0-9a-z.]", number) == 1)
    snprintf(make, sizeof make, "MPICH");
  if (make[0] != '\0')
    snprintf(t->name, sizeof t->name, "%s %s", make, number);
  else
    snprintf(t->name, sizeof t->name, "%.*s", (int)strcspn(version, "\n,"), version[0] != '\0' ? version : "MPI");
}

/* MPICH's mpiexec throws away what it has not read of a rank's words by then. */
static void module_abort(plm_transport *t, int code) {
  const struct timespec while_words_are_read = {.tv_nsec = 500 * 1000 * 1000};
  (void)t;
  nanosleep(&while_words_are_read, NULL);
  MPI_Abort(MPI_COMM_WORLD, code);
}

static void module_close(plm_transport *t) {
  (void)t;
  for (int i = 0; i < PLM_CHANNELS; i++) MPI_Comm_free(&world.channels[i]);
  MPI_Finalize();
}

static bool prepare(plm_transport *t) {
  int code = MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  if (code == MPI_SUCCESS) code = MPI_Comm_rank(MPI_COMM_WORLD, &t->rank);
  if (code == MPI_SUCCESS) code = MPI_Comm_size(MPI_COMM_WORLD, &t->size);
  for (int i = 0; i < PLM_CHANNELS && code == MPI_SUCCESS; i++) {
    code = MPI_Comm_dup(MPI_COMM_WORLD, &world.channels[i]);
    if (code == MPI_SUCCESS) code = MPI_Comm_set_errhandler(world.channels[i], MPI_ERRORS_RETURN);
  }
  return is_done("MPI_Comm_dup", code) && find_places(t);
}

static plm_transport *module_open(char *words, size_t room) {
  plm_transport *t = &world.transport;
  int provided = MPI_THREAD_SINGLE;
  *t = (plm_transport){
      .send = module_send,
      .receive = module_receive,
      .test = module_test,
      .probe = module_probe,
      .abort = module_abort,
      .close = module_close,
  };
  const bool is_open =
      is_done("MPI_Init_thread", MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)) && prepare(t);
  if (!is_open) {
    snprintf(words, room, "%s", t->words);
    return NULL;
  }
  name_library(t);
  return t;
}

const plm_mpi_module plm_mpi_module_v1 = {.abi = PLM_TRANSPORT_ABI, .open = module_open};
