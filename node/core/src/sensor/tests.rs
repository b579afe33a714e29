mod lab;

mod benign;
mod block;
mod brute_force;
mod determinism;
mod evidence;
mod hostile;
mod http_flood;
mod limits;
mod login;
mod models;
mod net_flood;
mod open;
mod port_scan;
mod slow_dos;
mod view;
mod weak;
