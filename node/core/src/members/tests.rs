mod net;

mod cost;
mod forming;
mod health;
mod hostile;
mod leaving;
mod loss;
mod restart;
mod streams;
mod wire;
