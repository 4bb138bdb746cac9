/* How fast bytes may go out: a token bucket, one for each target and one for all.
 *
 * A bucket fills at its rate and holds what comes in within a second at most, so a link that was idle is not flooded
 * afterwards. Whoever takes bytes is told how long to wait before sending them; takers queue by taking, since the level
 * may go below zero. What is taken at once should therefore be little: lrb_pace_piece says how much. Any thread.
 */
#ifndef LRB_NET_PACE_H
#define LRB_NET_PACE_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

typedef struct lrb_pace {
    pthread_mutex_t lock;
    double bytes_per_s, level;
    int64_t at_ns;
} lrb_pace;

void lrb_pace_init(lrb_pace *pace, double bytes_per_s, int64_t now_ns);
void lrb_pace_clear(lrb_pace *pace);
/* Takes bytes; how long to wait before they may be sent. Clocks are monotonic. */
int64_t lrb_pace_take(lrb_pace *pace, size_t count, int64_t now_ns);

/* How many bytes to take at once: of a slow link so few that the pause between two of them is short. */
size_t lrb_pace_piece(lrb_pace *const *paces, size_t paces_count, size_t most);

#endif
