// Goroutines that compute without a pause (the runtime interrupts them with SIGURG), pass messages, sleep and make garbage,
// until the file may-end exists. Every worker adds to a chain of hashes, which is computed again at the end.
package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type link [sha256.Size]byte

func next(last link, number uint64) link {
	text := make([]byte, len(last)+8) // garbage, on purpose
	copy(text, last[:])
	binary.LittleEndian.PutUint64(text[len(last):], number)
	return sha256.Sum256(text)
}

func chain(length uint64) link {
	var last link
	for i := uint64(0); i < length; i++ {
		last = next(last, i)
	}
	return last
}

func main() {
	var mayEnd atomic.Bool
	var total atomic.Uint64
	var workers sync.WaitGroup
	wrong := make(chan string, 64)
	// A chain each, in one go: no call in which the scheduler could take over but the allocations'.
	for w := 0; w < 4; w++ {
		workers.Add(1)
		go func(w int) {
			defer workers.Done()
			var last link
			var length uint64
			for !mayEnd.Load() {
				last = next(last, length)
				length++
				total.Add(1)
			}
			if chain(length) != last {
				wrong <- fmt.Sprint("chain ", w)
			}
		}(w)
	}
	// Messages in order, with waits of the runtime's own timers.
	numbers := make(chan uint64)
	go func() {
		for i := uint64(0); !mayEnd.Load(); i++ {
			numbers <- i
			if i%100 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		close(numbers)
	}()
	workers.Add(1)
	go func() {
		defer workers.Done()
		var expected uint64
		for number := range numbers {
			if number != expected {
				wrong <- fmt.Sprint("message ", number)
			}
			expected++
		}
	}()
	// A spin without any call, which only a signal can interrupt.
	var spun uint64
	go func() {
		for {
			spun++
		}
	}()
	for !mayEnd.Load() {
		time.Sleep(10 * time.Millisecond)
		fmt.Println("links", total.Load())
		file, err := os.Open("may-end") // makes the runtime's poller
		if err == nil {
			file.Close()
			mayEnd.Store(true)
		}
	}
	workers.Wait()
	close(wrong)
	for what := range wrong {
		fmt.Println("wrong", what)
	}
	fmt.Println("end")
}
