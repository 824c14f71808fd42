// A program that keeps checking what a dump must not disturb: each worker is a thread that does one thing
// round after round and complains at the first surprise. `self_checking DIRECTORY SET` runs the workers of
// one set until it is released through DIRECTORY/sync.
#pragma once

#include <string>
#include <vector>

#include "tests/harness/shared_page.h"

namespace cryo::victim {

struct Worker {
  const char* name;
  void (*round)();
  void (*prepare)() = nullptr;
};

// Waits that must end neither early nor with EINTR: no signal is ever sent here.
std::vector<Worker> waiting_workers();
// Signals: none may be lost, repeated or reordered, and each interrupts what it has to.
std::vector<Worker> signalled_workers();

// Records the first complaint of the program; the worker's name is added.
void complain(const std::string& what);
void expect(bool condition, const char* what);

// epoll_wait, sigtimedwait and sigwaitinfo answer EINTR to every stop by a tracer. A dump that ends well
// hides this, one that is killed right after the stop cannot: so it is counted, not complained about.
void note_interruption();

int64_t now_ns();

}  // namespace cryo::victim
