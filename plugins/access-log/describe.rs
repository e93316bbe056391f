//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_access_log::describe().to_json());
}
