// Compute READY: four threads that hash, sort and allocate for ever.
import java.io.File;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.concurrent.CountDownLatch;

public class Compute {
  public static void main(String[] arguments) throws Exception {
    CountDownLatch warm = new CountDownLatch(4);
    for (int i = 0; i < 4; ++i) {
      int seed = i;
      new Thread(() -> work(seed, warm)).start();
    }
    warm.await();
    // Not by java.nio: a JVM that has used its files keeps one end of a socket pair for ever.
    if (!new File(arguments[0]).createNewFile()) throw new IllegalStateException(arguments[0]);
  }

  private static void work(int seed, CountDownLatch warm) {
    ArrayList<int[]> kept = new ArrayList<>();
    for (long turn = 0;; ++turn) {
      int[] numbers = new int[20000];
      for (int i = 0; i < numbers.length; ++i) numbers[i] = (int) ((i + turn) * 2654435761L + seed);
      Arrays.sort(numbers);
      kept.add(numbers);
      if (kept.size() > 200) kept.clear();
      if (turn == 1000) warm.countDown();
    }
  }
}
