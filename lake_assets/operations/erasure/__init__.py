"""`lake forget`: erase a subject's rows everywhere, in two steps, and leave a receipt."""
