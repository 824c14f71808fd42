// Several threads that compute and produce garbage all the time: compiled code, collections and safepoints are under way
// at every moment. Each thread does `rounds` rounds at least, and goes on until the file may-end exists; every round ends
// with a check of what it made, and the sum of the first `rounds` is the result.
import java.io.File;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ArrayBlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

public final class Churn {
  private static final AtomicLong progress = new AtomicLong();
  private static volatile boolean mayEnd;

  // A map of lists of strings, some of which live for a while.
  private static long round(long seed, Map<Integer, List<String>> old) {
    long state = seed * 0x9E3779B97F4A7C15L + 1;
    Map<Integer, List<String>> made = new HashMap<>();
    for (int i = 0; i < 3000; i++) {
      state ^= state << 13;
      state ^= state >>> 7;
      state ^= state << 17;
      made.computeIfAbsent((int) (state & 127), key -> new ArrayList<>()).add(Long.toHexString(state));
    }
    long sum = 0;
    int count = 0;
    for (List<String> list : made.values()) {
      for (String text : list) {
        sum = sum * 31 + text.hashCode();
        count++;
      }
    }
    if (count != 3000) throw new IllegalStateException("lost entries: " + count);
    old.put((int) (seed & 63), made.get((int) (state & 127)));
    return sum;
  }

  private static long work(int thread, int rounds) {
    Map<Integer, List<String>> old = new HashMap<>();
    long sum = 0;
    for (int i = 0; i < rounds || !mayEnd; i++) {
      long one = round(thread * 1_000_003L + i % rounds, old);
      if (i < rounds) sum = sum * 17 + one;
      progress.incrementAndGet();
    }
    return sum;
  }

  public static void main(String[] arguments) throws Exception {
    int threads = Integer.parseInt(arguments[0]);
    int rounds = Integer.parseInt(arguments[1]);
    ExecutorService pool = Executors.newFixedThreadPool(threads);
    List<Future<Long>> sums = new ArrayList<>();
    for (int t = 0; t < threads; t++) {
      int thread = t;
      sums.add(pool.submit(() -> work(thread, rounds)));
    }
    ArrayBlockingQueue<String> never = new ArrayBlockingQueue<>(1);
    while (!mayEnd) {
      never.poll(20, TimeUnit.MILLISECONDS);
      System.out.println("rounds " + progress.get());
      mayEnd = new File("may-end").exists();
    }
    long total = 0;
    for (Future<Long> sum : sums) total = total * 13 + sum.get();
    pool.shutdown();
    System.out.println("sum " + total);
  }
}
