"""`lake forget`: delete a person's rows everywhere, in two steps, and leave a receipt."""
