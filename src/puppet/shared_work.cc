#include "puppet/shared_work.h"

namespace cryo {

Result<void> share_work(Puppet& puppet, bool able, const SharedWork& work) {
  size_t front = 0, back = work.count;
  size_t first = 0, posted = 0;  // what the puppet is at
  while (front < back || posted != 0) {
    if (able && posted == 0 && front < back) {
      first = front;
      // Less and less at a time, so that both are ready together.
      puppet.post(work.batch(first, std::max<size_t>(1, (back - front) / 2), posted));
      front += posted;
    }
    if (front < back) {
      Result<void> own = work.own(--back);
      // The caller will undo things by the puppet, which must have finished what it is at.
      if (!own && posted != 0) (void)puppet.wait();
      if (!own) return own;
    }
    if (posted == 0 || (front < back && !puppet.idle())) continue;
    const Outcome outcome = TRY(puppet.wait());
    able = outcome.complete();
    for (size_t i = 0; !able && i < posted; ++i) TRY(work.own(first + i));
    if (able) work.done(first, posted);
    posted = 0;
  }
  return {};
}

}  // namespace cryo
