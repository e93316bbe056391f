//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_errors::describe().to_json());
}
