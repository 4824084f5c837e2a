/* A library, but not a backend. */
extern int something_else;
int something_else = 1;
