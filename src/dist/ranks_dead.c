/* ranks_dead.c - the processes of this machine's ranks, as the kernel sees them: one that has ended is known at once, where
 * its silence tells after --timeout. A launcher that ends the others of a rank that died leaves them a second, or none. */
#define _GNU_SOURCE
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/alloc.h"
#include "dist/ranks_internal.h"

/* [count], of other ranks. */
struct ranks_dead {
  int count;
  struct pollfd *processes;
  int *ranks;
};

uint64_t plm_ranks_dead_namespace(void) {
  struct stat facts;
  return stat("/proc/self/ns/pid", &facts) == 0 ? (uint64_t)facts.st_ino : 0;
}

/* Process ids mean the same on one machine and in one namespace of them (two containers may have two). -1: it cannot be watched. */
static int watch_process(const ranks *r, int rank) {
  const plm_rank_place *own = &r->places[r->comm.rank], *other = &r->places[rank];
  if (rank == r->comm.rank || other->node != own->node || other->process == own->process) return -1;
  if (own->process_namespace == 0 || other->process_namespace != own->process_namespace) return -1;
  return (int)syscall(SYS_pidfd_open, (pid_t)other->process, 0); /* closed on exec */
}

static void watch_all(const ranks *r, ranks_dead *d) {
  for (int rank = 0; rank < r->comm.size && d->count < r->comm.local_size; rank++) {
    const int fd = watch_process(r, rank);
    if (fd < 0) continue;
    d->ranks[d->count] = rank;
    d->processes[d->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
  }
}

static void release(ranks_dead *d) {
  if (d == NULL) return;
  for (int i = 0; i < d->count; i++) close(d->processes[i].fd);
  plm_free(d->processes);
  plm_free(d->ranks);
  plm_free(d);
}

plm_status plm_ranks_dead_create(ranks *r) {
  ranks_dead *d;
  plm_status status;
  PLM_TRY(PLM_NEW(&d, 1));
  PLM_TRY_GOTO(PLM_NEW(&d->processes, r->comm.local_size), fail);
  PLM_TRY_GOTO(PLM_NEW(&d->ranks, r->comm.local_size), fail);
  watch_all(r, d);
  pthread_mutex_lock(&r->lock);
  r->dead = d;
  pthread_mutex_unlock(&r->lock);
  return PLM_OK;
fail:
  release(d);
  return status;
}

void plm_ranks_dead_destroy(ranks *r) { release(r->dead); }

int plm_ranks_dead_find(ranks *r) {
  pthread_mutex_lock(&r->lock);
  ranks_dead *d = r->dead;
  pthread_mutex_unlock(&r->lock);
  if (d == NULL || d->count == 0 || poll(d->processes, (nfds_t)d->count, 0) <= 0) return -1;
  for (int i = 0; i < d->count; i++)
    if (d->processes[i].revents != 0) return d->ranks[i];
  return -1;
}

bool plm_ranks_dead_is_lowest_left(const ranks *r) {
  for (int i = 0; i < r->dead->count; i++)
    if (r->dead->processes[i].revents == 0 && r->dead->ranks[i] < r->comm.rank) return false;
  return true;
}
