#include "net/pace.h"

enum { PIECES_PER_BURST = 4, NS_PER_S = 1000000000 };
static const double BURST_S = 1;
static const double LONGEST_NS = 1e18; /* some thirty years */

void lrb_pace_init(lrb_pace *pace, double bytes_per_s, int64_t now_ns) {
    *pace = (lrb_pace){.bytes_per_s = bytes_per_s, .level = bytes_per_s * BURST_S, .at_ns = now_ns};
    pthread_mutex_init(&pace->lock, NULL);
}

void lrb_pace_clear(lrb_pace *pace) {
    pthread_mutex_destroy(&pace->lock);
}

int64_t lrb_pace_take(lrb_pace *pace, size_t count, int64_t now_ns) {
    pthread_mutex_lock(&pace->lock);
    double full = pace->bytes_per_s * BURST_S;
    double filled = pace->level + (double)(now_ns - pace->at_ns) / NS_PER_S * pace->bytes_per_s;
    pace->level = (filled < full ? filled : full) - (double)count;
    pace->at_ns = now_ns;
    double wait_ns = pace->level < 0 ? -pace->level / pace->bytes_per_s * NS_PER_S : 0;
    pthread_mutex_unlock(&pace->lock);
    return (int64_t)(wait_ns < LONGEST_NS ? wait_ns : LONGEST_NS);
}

size_t lrb_pace_piece(lrb_pace *const *paces, size_t paces_count, size_t most) {
    for (size_t i = 0; i < paces_count; i++) {
        double piece = paces[i]->bytes_per_s * BURST_S / PIECES_PER_BURST;
        if (piece < (double)most) most = piece < 1 ? 1 : (size_t)piece;
    }
    return most ? most : 1;
}
