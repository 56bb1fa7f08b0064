//! The scripted teachers on WebShop's own products, which are other people's data and so not in
//! the repository: read from the folder that `EEF_SHARED` names. Without it the test says so and
//! passes, unless `EEF_REQUIRE` asks for `shared`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test and the counts are told to people")]

use std::path::PathBuf;

use eef_core::{ConversationId, Env, Message, Policy, Sampling, Seed, Split, TaskId, Turn};
use eef_webshop::teacher::ScriptedTeacher;
use eef_webshop::{PrepareRequest, Shopper, WebShop, prepare};

fn plays(teacher: &mut ScriptedTeacher, shopper: &mut Shopper, task: &TaskId) -> f64 {
    let opening = shopper.reset(task).unwrap();
    let conversation = ConversationId(0);
    teacher.close(conversation);
    let mut messages = vec![Message::user(opening.instruction)];
    for number in 0..20 {
        let seed = Seed::new(u64::from(task.index())).derive("turn", number);
        let turn = Turn { conversation, messages, sampling: Sampling::GREEDY, seed };
        let reply = teacher.step(vec![turn]).unwrap().remove(0);
        let transition = shopper.step(&reply.text).unwrap();
        if transition.terminated {
            return transition.reward.get();
        }
        messages = vec![Message::user(transition.observation.as_str())];
    }
    0.0
}

#[test]
fn teachers_win_a_part_of_the_original_shops_tasks() {
    let Some(shared) = std::env::var_os("EEF_SHARED").map(PathBuf::from).filter(|p| p.is_dir())
    else {
        let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
        assert!(!required.contains("shared"), "EEF_SHARED names no folder, but EEF_REQUIRE asks");
        eprintln!("skipped: EEF_SHARED names no folder with the original's products");
        return;
    };
    let data = shared.join("data/webshop");
    let request = PrepareRequest::new(
        data.join("items_shuffle_1000.recovered.json"),
        data.join("items_ins_v2_1000.json"),
    );
    let folder = tempfile::tempdir().unwrap();
    prepare(&request, folder.path(), &mut |_| {}).unwrap();
    let shop = WebShop::open(folder.path()).unwrap();
    let n_tasks = shop.goals(Split::Test).len() as u32;
    assert!(n_tasks > 100);
    for mut teacher in
        [ScriptedTeacher::strong(), ScriptedTeacher::weak(), ScriptedTeacher::oracle()]
    {
        let mut n_won = 0;
        let mut reward = 0.0;
        for index in 0..n_tasks {
            let task = TaskId::new(shop.name(), Split::Test, index);
            let earned = plays(&mut teacher, &mut shop.shopper(), &task);
            reward += earned;
            n_won += u32::from(earned == 1.0);
        }
        let share = f64::from(n_won) / f64::from(n_tasks);
        eprintln!(
            "{}: won {:.1} % of {n_tasks}, mean reward {:.3}",
            teacher.name(),
            100.0 * share,
            reward / f64::from(n_tasks)
        );
        assert!(share > 0.1, "{} wins {share}", teacher.name());
    }
}
