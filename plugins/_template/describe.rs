//! Prints what this plugin is: `launchgate dist` reads it.

fn main() {
    println!("{}", launchgate_template::describe().to_json());
}
