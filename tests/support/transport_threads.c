/* transport_threads.c - see transport_threads.h. Contents: messages, what is done, the transport, ranks. */
#include "support/transport_threads.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "dist/ranks.h"
#include "support/unit.h"

enum { MOST_RANKS = 16 };

typedef struct message {
  struct message *next;
  bool is_send;
  plm_channel channel;
  int from, to, tag;
  void *data;
  int64_t bytes;
  void *token;
  int delay; /* of one that is done: tests until that is said */
} message;

typedef struct threads_world threads_world;

typedef struct end {
  plm_transport transport; /* first */
  threads_world *world;
  message *done;
  int64_t calls;
} end;

struct threads_world {
  threads_options options;
  pthread_mutex_t lock;
  pthread_cond_t closed;
  message *waiting, **last; /* without their counterpart, in order */
  end ends[MOST_RANKS];
  int closed_count, closing_count, abort_code;
  bool is_over;
  uint64_t random;
};

/* ---- messages ---- */

static bool is_dead(const end *e) {
  const threads_options *o = &e->world->options;
  return o->dead_at > 0 && e->transport.rank == o->dead_rank && e->calls >= o->dead_at;
}

static int draw_delay(threads_world *w) {
  if (w->options.most_delay == 0) return 0;
  w->random = w->random * 6364136223846793005u + 1442695040888963407u;
  return (int)((w->random >> 33) % (uint64_t)(w->options.most_delay + 1));
}

static void finish(threads_world *w, message *m) {
  end *e = &w->ends[m->is_send ? m->from : m->to];
  m->delay = draw_delay(w);
  m->next = e->done;
  e->done = m;
}

static void free_messages(message *m) {
  for (message *next; m != NULL; m = next) {
    next = m->next;
    free(m);
  }
}

static message *take_counterpart(threads_world *w, const message *m) {
  for (message **link = &w->waiting; *link != NULL; link = &(*link)->next) {
    message *o = *link;
    if (o->is_send == m->is_send || o->channel != m->channel || o->from != m->from || o->to != m->to ||
        o->tag != m->tag)
      continue;
    *link = o->next;
    if (w->last == &o->next) w->last = link;
    return o;
  }
  return NULL;
}

static bool post(end *e, const message *what) {
  threads_world *w = e->world;
  bool is_ok = true;
  message *m = calloc(1, sizeof *m), *other;
  pthread_mutex_lock(&w->lock);
  *m = *what;
  if (w->abort_code >= 0) {
    snprintf(e->transport.words, sizeof e->transport.words, "another rank has ended all");
    is_ok = false;
  }
  if (++e->calls == w->options.fail_at && e->transport.rank == w->options.fail_rank) {
    snprintf(e->transport.words, sizeof e->transport.words, "made to fail by the test");
    is_ok = false;
  }
  if (!is_ok || is_dead(e)) {
    free(m);
  } else if ((other = take_counterpart(w, m)) != NULL) {
    const message *send = m->is_send ? m : other, *receive = m->is_send ? other : m;
    if (send->bytes > receive->bytes) abort();
    if (send->bytes > 0) memcpy(receive->data, send->data, (size_t)send->bytes);
    finish(w, m);
    finish(w, other);
  } else {
    *w->last = m;
    w->last = &m->next;
  }
  pthread_mutex_unlock(&w->lock);
  return is_ok;
}

static bool threads_send(plm_transport *t, plm_channel channel, int to, int tag, const void *data, int64_t bytes,
                         void *token) {
  return post((end *)(void *)t, &(message){.is_send = true,
                                           .channel = channel,
                                           .from = t->rank,
                                           .to = to,
                                           .tag = tag,
                                           .data = (void *)(uintptr_t)data,
                                           .bytes = bytes,
                                           .token = token});
}

static bool threads_receive(plm_transport *t, plm_channel channel, int from, int tag, void *data, int64_t bytes,
                            void *token) {
  return post(
      (end *)(void *)t,
      &(message){
          .channel = channel, .from = from, .to = t->rank, .tag = tag, .data = data, .bytes = bytes, .token = token});
}

/* ---- what is done ---- */

static int threads_test(plm_transport *t, void **ret_tokens, int most) {
  end *e = (end *)(void *)t;
  int count = 0;
  pthread_mutex_lock(&e->world->lock);
  if (e->world->abort_code >= 0 && e->done == NULL && !is_dead(e)) {
    snprintf(t->words, sizeof t->words, "another rank has ended all");
    count = -1;
  }
  for (message **link = &e->done; *link != NULL && count >= 0 && count < most && !is_dead(e);) {
    message *m = *link;
    if (m->delay-- > 0) {
      link = &m->next;
      continue;
    }
    ret_tokens[count++] = m->token;
    *link = m->next;
    free(m);
  }
  pthread_mutex_unlock(&e->world->lock);
  return count;
}

static int threads_probe(plm_transport *t, plm_channel channel, int tag) {
  end *e = (end *)(void *)t;
  int from = -1;
  pthread_mutex_lock(&e->world->lock);
  for (const message *m = e->world->waiting; m != NULL && from < 0 && !is_dead(e); m = m->next)
    if (m->is_send && m->channel == channel && m->to == t->rank && m->tag == tag) from = m->from;
  pthread_mutex_unlock(&e->world->lock);
  return from;
}

/* ---- the transport ---- */

static void threads_abort(plm_transport *t, int code) {
  end *e = (end *)(void *)t;
  pthread_mutex_lock(&e->world->lock);
  if (!is_dead(e)) {
    if (e->world->abort_code < 0) e->world->abort_code = code;
    free_messages(e->world->waiting); /* their memory goes with their ranks */
    e->world->waiting = NULL;
    e->world->last = &e->world->waiting;
  }
  pthread_mutex_unlock(&e->world->lock);
}

static void threads_close(plm_transport *t) {
  end *e = (end *)(void *)t;
  threads_world *w = e->world;
  pthread_mutex_lock(&w->lock);
  w->closed_count++;
  w->closing_count++;
  pthread_cond_broadcast(&w->closed);
  while (w->closed_count < w->options.size && w->abort_code < 0) pthread_cond_wait(&w->closed, &w->lock);
  while (w->options.never_closes && !w->is_over) pthread_cond_wait(&w->closed, &w->lock);
  if (--w->closing_count == 0) pthread_cond_broadcast(&w->closed);
  pthread_mutex_unlock(&w->lock);
}

static plm_status open_end(void *context, plm_transport **ret_transport) {
  end *e = context;
  const threads_options *o = &e->world->options;
  const int rank = (int)(e - e->world->ends), per_node = o->ranks_per_node > 0 ? o->ranks_per_node : o->size;
  const int node = rank / per_node, first = node * per_node;
  e->transport = (plm_transport){.name = "threads",
                                 .rank = rank,
                                 .size = o->size,
                                 .local_rank = rank - first,
                                 .local_size = first + per_node > o->size ? o->size - first : per_node,
                                 .node = node,
                                 .nodes = (o->size + per_node - 1) / per_node,
                                 .send = threads_send,
                                 .receive = threads_receive,
                                 .test = threads_test,
                                 .probe = threads_probe,
                                 .abort = threads_abort,
                                 .close = threads_close};
  *ret_transport = &e->transport;
  return PLM_OK;
}

/* ---- ranks ---- */

typedef struct role {
  threads_world *world;
  int rank;
  threads_rank *body;
  void *context;
  plm_error_record *result;
} role;

static void *play(void *argument) {
  const role *p = argument;
  plm_comm *comm = NULL;
  plm_status status = plm_comm_ranks_create(open_end, &p->world->ends[p->rank], &comm);
  if (status == PLM_OK)
    status = p->body(comm, p->context);
  else /* as a launcher does when a process ends with a failure */
    threads_abort(&p->world->ends[p->rank].transport, plm_status_exit_code(status));
  plm_error_take(status, p->result);
  plm_comm_destroy(comm);
  return NULL;
}

/* Those that are still in there, and their threads, which nobody joins. */
static void let_close(threads_world *w) {
  pthread_mutex_lock(&w->lock);
  w->is_over = true;
  pthread_cond_broadcast(&w->closed);
  while (w->closing_count > 0) pthread_cond_wait(&w->closed, &w->lock);
  pthread_mutex_unlock(&w->lock);
}

int threads_run(const threads_options *options, threads_rank *rank, void *context, plm_error_record *results) {
  threads_world *w = calloc(1, sizeof *w);
  pthread_t threads[MOST_RANKS];
  role roles[MOST_RANKS];
  w->options = *options;
  w->last = &w->waiting;
  w->abort_code = -1;
  w->random = options->seed;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->closed, NULL);
  for (int i = 0; i < options->size; i++) {
    w->ends[i].world = w;
    roles[i] = (role){w, i, rank, context, &results[i]};
    if (pthread_create(&threads[i], NULL, play, &roles[i]) != 0) fail_msg("a thread could not be started");
  }
  for (int i = 0; i < options->size; i++) pthread_join(threads[i], NULL);
  let_close(w);
  free_messages(w->waiting);
  for (int i = 0; i < options->size; i++) free_messages(w->ends[i].done);
  pthread_cond_destroy(&w->closed);
  pthread_mutex_destroy(&w->lock);
  const int code = w->abort_code;
  free(w);
  return code;
}

void threads_expect_ok(const plm_error_record *results, int size) {
  for (int i = 0; i < size; i++)
    if (results[i].code != PLM_OK) fail_msg("rank %d: %s\n%s", i, results[i].message, results[i].trace);
}
