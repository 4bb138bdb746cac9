"""Recovery points and what is done with them: taken, proved, drilled, brought back, undone. The front is
`lightrag_bkp.recovery`.
"""
