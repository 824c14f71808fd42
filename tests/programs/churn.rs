// Threads with locks, channels and condition variables, until the file may-end exists. Every one adds to a sum that is
// computed again at the end.
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

fn mix(last: u64, number: u64) -> u64 {
    let text = format!("{:x} {}", last, number);
    text.bytes().fold(0xcbf29ce484222325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100000001b3))
}

fn main() {
    let may_end = Arc::new(AtomicBool::new(false));
    let total = Arc::new(AtomicU64::new(0));
    let turn = Arc::new((Mutex::new(0u64), Condvar::new()));
    let mut workers = Vec::new();
    for worker in 0..4u64 {
        let (may_end, total) = (may_end.clone(), total.clone());
        workers.push(thread::spawn(move || {
            let (mut sum, mut length) = (worker, 0);
            while !may_end.load(Ordering::Relaxed) {
                sum = mix(sum, length);
                length += 1;
                total.fetch_add(1, Ordering::Relaxed);
            }
            sum == (0..length).fold(worker, mix)
        }));
    }
    // Two that wait for each other.
    for side in 0..2u64 {
        let (may_end, turn) = (may_end.clone(), turn.clone());
        workers.push(thread::spawn(move || {
            let (lock, changed) = &*turn;
            let mut last = side;
            while !may_end.load(Ordering::Relaxed) {
                let guard = lock.lock().unwrap();
                let (mut number, _) =
                    changed.wait_timeout_while(guard, Duration::from_millis(50), |n| *n % 2 != side).unwrap();
                if *number % 2 != side {
                    continue;
                }
                if *number < last {
                    return false;
                }
                *number += 1;
                last = *number;
                changed.notify_all();
            }
            true
        }));
    }
    let (sender, receiver) = sync_channel(10);
    let until = may_end.clone();
    workers.push(thread::spawn(move || {
        let mut number = 0u64;
        while !until.load(Ordering::Relaxed) {
            sender.send(number).unwrap();
            number += 1;
        }
        true
    }));
    workers.push(thread::spawn(move || receiver.iter().enumerate().all(|(expected, number)| expected as u64 == number)));
    while !may_end.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_millis(10));
        println!("steps {}", total.load(Ordering::Relaxed));
        std::io::stdout().flush().unwrap();
        may_end.store(Path::new("may-end").exists(), Ordering::Relaxed);
    }
    let right = workers.into_iter().map(|worker| worker.join().unwrap()).filter(|right| *right).count();
    println!("right {}", right);
}
