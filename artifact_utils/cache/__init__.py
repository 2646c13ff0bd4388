"""What is made once and used in every epoch: pictures at the training size, and what a frozen backbone sees of them."""
