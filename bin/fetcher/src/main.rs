//! `tepui-fetcher`: does one order of an agent, with the rights of a task's user unless it unpacks an
//! image, and says what became of it.
//! Decides nothing: what is fetched, and where to, stands in the order.

mod budget;
mod copy;
mod extract;
mod http;
mod image;
mod rights;
mod run;
mod sandbox;

use std::io::{self, BufRead, Read, Write};
use std::process::ExitCode;

use tepui_protocol::fetch::{Answer, Order};

/// Longest order, in bytes.
const MAX_ORDER_BYTES: u64 = 64 << 20;

const USAGE: &str = "usage: tepui-fetcher\n\nFetches the URIs of a task. Started by tepui-agent, \
                     which writes an order to its standard input.";

fn main() -> ExitCode {
    match std::env::args_os().nth(1) {
        None => serve(),
        Some(argument) if argument == "--version" => {
            print(concat!("tepui-fetcher ", env!("CARGO_PKG_VERSION")))
        }
        Some(_) => print(USAGE),
    }
}

fn serve() -> ExitCode {
    let answer = match order() {
        Ok(order) => {
            end_with_the_agent();
            run::perform(order, &mut say)
        }
        Err(why) => Answer::Failed(why),
    };
    match say(&answer) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn order() -> Result<Order, String> {
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(MAX_ORDER_BYTES);
    let read = input.read_until(b'\n', &mut line);
    read.map_err(|error| format!("the fetcher's order cannot be read: {error}"))?;
    serde_json::from_slice(&line)
        .map_err(|error| format!("the fetcher's order cannot be understood: {error}"))
}

/// Ends this process when the agent closes its end of the input, or has died.
fn end_with_the_agent() {
    let watch = || {
        // Nothing else is ever written there.
        let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
        std::process::exit(1);
    };
    let watching = std::thread::Builder::new().spawn(watch);
    if watching.is_err() {
        std::process::exit(1);
    }
}

/// Tells the agent something.
fn say(answer: &Answer) -> io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    let mut output = io::stdout().lock();
    output.write_all(&line)?;
    output.flush()
}

fn print(text: &str) -> ExitCode {
    match writeln!(io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
