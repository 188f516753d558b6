//! `sluice`: what users and operators type.

mod api;
mod args;
mod commands;
mod failure;
mod lifetime;
mod output;
mod programs;
mod settings;
mod up;

use std::process::ExitCode;

use api::Api;
use args::{Arguments, Command};
use clap::Parser;
use failure::Outcome;
use serde_json::json;
use settings::Settings;

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("sluice: {failure}");
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: Arguments) -> Outcome<ExitCode> {
    let Arguments {
        url,
        token,
        json,
        command,
    } = arguments;
    let done = Ok(ExitCode::SUCCESS);
    match command {
        // What runs on this machine needs no control plane.
        Command::Up(options) => return up::run(&options).and(done),
        Command::Start(options) => return Err(programs::start(&options)),
        Command::Doctor { programs } => {
            let settings = Settings::resolve(url, token)?;
            return commands::doctor::run(&settings, programs.as_deref(), json);
        }
        Command::Login { how, postgres } => {
            return commands::login::login(url, token, how, postgres).and(done);
        }
        Command::Logout => return commands::login::logout(url, token).and(done),
        _ => {}
    }
    let api = Api::new(Settings::resolve(url, token)?);
    match command {
        Command::Whoami => commands::login::whoami(&api, json)?,
        Command::Connections(command) => commands::connections::run(&api, command, json)?,
        Command::Connect(options) => commands::connect::run(&api, &options, json)?,
        Command::Audit(command) => commands::audit::run(&api, command, json)?,
        Command::Sessions(command) => commands::sessions::run(&api, command, json)?,
        Command::Reviews(command) => commands::reviews::run(&api, command, json)?,
        Command::Notifications(command) => commands::notifications::run(&api, command, json)?,
        Command::Token(command) => commands::tokens::run(&api, command, json)?,
        Command::ApiKeys(command) => commands::api_keys::run(&api, command, json)?,
        Command::AdminLog(command) => commands::admin_log::run(&api, command, json)?,
        Command::Users(command) => commands::users::run(&api, command, json)?,
        Command::Groups(command) => commands::groups::run(&api, command, json)?,
        Command::Pools(command) => commands::pools::run(&api, command, json)?,
        Command::Agents(command) => commands::agents::run(&api, command, json)?,
        Command::Dataplanes(command) => commands::dataplanes::run(&api, command, json)?,
        Command::Policy(command) => commands::policy::run(&api, command, json)?,
        Command::Apply {
            file,
            dry_run,
            adopt,
            force,
        } => {
            let wish = json!({"dry_run": dry_run, "adopt": adopt, "force": force});
            commands::policy::apply(&api, &file.file, wish, json)?;
        }
        Command::Diff { file } => commands::policy::diff(&api, &file.file, json)?,
        Command::Export => commands::policy::export(&api)?,
        Command::Redact(command) => commands::redact::run(&api, command, json)?,
        Command::Up(_) | Command::Start(_) | Command::Doctor { .. } | Command::Login { .. } | Command::Logout => {}
    }
    done
}
